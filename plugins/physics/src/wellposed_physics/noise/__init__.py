"""Noise models, each tied to the fidelity that is its likelihood."""
