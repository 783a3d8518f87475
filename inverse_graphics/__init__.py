"""An image goes in, a scene comes out."""

__version__ = "0.1.0"
