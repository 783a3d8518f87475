"""Export of inferred scenes to file formats."""
