"""From an image to a scene: what robot scripts and the command line call."""
