"""Metrics with every convention named, and their summary over many images."""
