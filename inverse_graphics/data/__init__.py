"""Data sets and scene families: what there is to sample from."""
