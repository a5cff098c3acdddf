"""Image-to-image networks."""
