"""Training layer by layer."""
