"""Regularizers designed by hand; each lives in a module of its name."""
