"""The training samples of a recipe."""

from __future__ import annotations

from ..dataset import Dataset, Simulated
from ..errors import RecipeError
from ..recipes import build
from .plan import Experiment

#: Added to the recipe's seed for the training data, so that their noise is not that of the test samples.
_SEED = 7919


def training_data(experiment: Experiment) -> Dataset:
    """The data that the recipe trains on, simulated with the experiment's operator where it has one.

    Raises `RecipeError` where the recipe has no `training`.
    """
    recipe = experiment.recipe
    if recipe.training is None:
        raise RecipeError("the recipe has no 'training'; it names trainer, target and data")
    data = build("datasets", recipe.training.data, "training.data")
    if experiment.operator is None:
        return data
    noise = None if recipe.noise is None else build("noise", recipe.noise, "noise")
    simulated = Simulated(data, experiment.operator, noise, recipe.seed + _SEED)
    return simulated.to(experiment.device, experiment.dtype)
