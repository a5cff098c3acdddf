"""Experiments: a recipe's samples, reconstructed by each of its solvers and measured."""

from __future__ import annotations

from .plan import Experiment, prepare
from .results import Results, Row, SampleResult
from .training import training_data, training_target

__all__ = ["Experiment", "Results", "Row", "SampleResult", "prepare", "training_data", "training_target"]
