"""What a recipe trains, and the samples that it trains on."""

from __future__ import annotations

from torch import nn

from ..dataset import Dataset, Simulated
from ..errors import RecipeError
from ..recipes import build
from ..recipes.words import nearest
from ..regularizer import Sum, Weighted
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


def training_target(experiment: Experiment) -> nn.Module:
    """What `training.target` names: a solver by its label, or a part of one, `label.regularizer.model`.

    A part is found by the path that leads to it in the recipe, list entries by their number. Raises
    `RecipeError` where there is no such solver or part.
    """
    recipe = experiment.recipe
    if recipe.training is None:
        raise RecipeError("the recipe has no 'training'; it names trainer, target and data")
    target, where = recipe.training.target, "training.target"
    labels = [label for label in experiment.solvers if target == label or target.startswith(f"{label}.")]
    if not labels:
        known = ", ".join(experiment.solvers)
        raise RecipeError(f"{target!r} is none of the solvers ({known}), nor a part of one", where)
    label = max(labels, key=len)  # labels may have dots themselves
    part: object = experiment.solvers[label]
    for name in target.removeprefix(label).split(".")[1:]:
        owner, part = part, _part(part, name)
        if not isinstance(part, nn.Module):
            raise RecipeError(
                f"{type(owner).__name__} has no part {name!r} to train{nearest(name, _names(owner))}", where
            )
    assert isinstance(part, nn.Module)
    return part


def _part(owner: object, name: str) -> object:
    """The part that a recipe writes as `name` inside `owner`; a weight is no level of its own there."""
    while isinstance(owner, Weighted):
        owner = owner.regularizer
    parts = owner.terms if isinstance(owner, Sum) else owner
    if name.isdecimal() and isinstance(parts, nn.ModuleList | nn.Sequential):
        return parts[int(name)] if int(name) < len(parts) else None
    return getattr(owner, name, None)


def _names(owner: object) -> list[str]:
    while isinstance(owner, Weighted):
        owner = owner.regularizer
    return [name for name, _ in owner.named_children()] if isinstance(owner, nn.Module) else []
