"""2D data sets: glyphs, images of several objects, and published files."""
