"""Learned iterations."""
