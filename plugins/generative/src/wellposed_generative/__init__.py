"""Generative regularizers: a VAE with a structured covariance, and diffusion models as priors."""

__version__ = "0.1.0"
