"""Data fidelities with closed-form proximal maps and conjugates."""
