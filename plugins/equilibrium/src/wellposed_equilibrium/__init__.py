"""Deep-equilibrium solvers: accelerations, implicit and Jacobian-free gradients, learned proximal maps."""

__version__ = "0.1.0"
