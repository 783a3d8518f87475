"""Input and output: atomic writes, bounded reads; images, YAML and JSON."""
