"""Computed tomography: parallel-beam and fan-beam projectors, transmission and emission models."""
