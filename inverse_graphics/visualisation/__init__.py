"""Pictures, pages and tables of what was inferred, for people."""
