"""Images, HTML pages and tables of inferred scenes."""
