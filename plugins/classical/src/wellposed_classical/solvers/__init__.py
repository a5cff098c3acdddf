"""Direct solvers: reconstructions computed in one go, found by name through the registry."""
