"""From an image of any size to a parse: what each kind of model needs for that."""
