"""Asset packs and shipped weights: data."""
