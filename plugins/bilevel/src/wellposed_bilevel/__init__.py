"""Learning the parameters of regularizers by bilevel optimisation with certified lower-level accuracy."""

__version__ = "0.1.0"
