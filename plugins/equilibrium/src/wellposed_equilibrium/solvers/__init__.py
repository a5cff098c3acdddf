"""Equilibrium networks."""
