"""How far inferred scenes are from the true ones, modulo what no picture shows."""
