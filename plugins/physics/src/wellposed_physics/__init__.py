"""Forward operators, noise models with their fidelities, datasets and metrics."""

__version__ = "0.1.0"
