"""Regularizers and iterations designed by hand, and direct solvers."""

__version__ = "0.1.0"
