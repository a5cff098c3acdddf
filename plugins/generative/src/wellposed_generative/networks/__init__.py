"""Generative models, and the covariances that they are made with."""
