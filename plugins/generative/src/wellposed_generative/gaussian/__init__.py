"""Gaussians on images whose precision has a sparse Cholesky factor."""
