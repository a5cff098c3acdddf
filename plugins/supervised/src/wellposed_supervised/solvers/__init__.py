"""Solvers learned from pairs of image and measurement."""
