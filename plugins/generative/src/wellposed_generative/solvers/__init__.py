"""Samplers and other solvers with a generative prior."""
