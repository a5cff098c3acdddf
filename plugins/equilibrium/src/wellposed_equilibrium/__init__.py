"""Fixed-point accelerations and the gradients of equilibria."""

__version__ = "0.1.0"
