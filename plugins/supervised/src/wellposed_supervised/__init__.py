"""Reconstruction learned from pairs of image and measurement, and the trainer that learns it."""

__version__ = "0.1.0"
