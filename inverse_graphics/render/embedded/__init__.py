"""The embedded engine: layered, differentiable, pip only, on the CPU and on the GPU."""
