"""Datasets for training generative models."""
