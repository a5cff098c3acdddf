"""Matrices made from a few numbers."""
