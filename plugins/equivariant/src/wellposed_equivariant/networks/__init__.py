"""Image-to-image networks, with and without equivariance."""
