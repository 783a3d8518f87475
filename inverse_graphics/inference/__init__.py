"""Inference of a scene from an image: the functions that scripts and the command line call."""
