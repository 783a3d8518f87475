"""What was inferred, as files that other programs open."""
