"""Unrolled sparse networks: iterations whose thresholds, steps and transforms are learned."""

__version__ = "0.1.0"
