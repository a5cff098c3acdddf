"""Regularizers that measure how likely an image is under a generative model."""
