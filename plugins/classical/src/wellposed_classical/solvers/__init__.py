"""Direct solvers: the image in one go, without an objective."""
