"""Iterations designed by hand: one algorithm a file, found by name through the registry."""
