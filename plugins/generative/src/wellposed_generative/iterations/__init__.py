"""Iterations on images and latent variables together."""
