"""Learned reconstruction that turns with the image."""

__version__ = "0.1.0"
