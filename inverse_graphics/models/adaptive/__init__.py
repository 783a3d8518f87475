"""Networks that decide how long to think: recurrent cells and residual networks with adaptive computation."""
