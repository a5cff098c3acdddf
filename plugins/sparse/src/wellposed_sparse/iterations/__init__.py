"""Learned iterations of thresholding and proximal maps."""
