"""Learned maps in the place of proximal maps."""
