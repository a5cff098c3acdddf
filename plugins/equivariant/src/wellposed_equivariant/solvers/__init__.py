"""Learned proximal gradient methods, with and without equivariance."""
