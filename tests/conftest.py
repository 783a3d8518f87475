"""What all tests share: examples that are the same on every run and every machine."""

from hypothesis import settings

settings.register_profile("project", derandomize=True, deadline=None)
settings.load_profile("project")
