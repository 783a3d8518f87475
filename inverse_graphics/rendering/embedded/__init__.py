"""The embedded engine: layered, differentiable, installed by pip alone, on CPU and GPU."""
