"""Trainers of generative models."""
