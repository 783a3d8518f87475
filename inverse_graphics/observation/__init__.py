"""What a camera saw, and how probable that is given a rendered scene."""
