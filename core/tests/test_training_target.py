"""What a recipe's `training.target` may name: a solver, or a part of one by its path in the recipe."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wellposed import Iterative, Network
from wellposed.errors import RecipeError
from wellposed.experiment import Experiment, training_target
from wellposed.recipes.model import parse
from wellposed.regularizer import Regularizer
from wellposed.testing.doubles import Bumps, DenseOperator, QuadraticFidelity, QuadraticRegularizer
from wellposed.testing.iterations import Iteration


class Model(Network):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 1))


class Learned(Regularizer):
    """A regularizer with a network inside."""

    capabilities = frozenset({"grad"})

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model


def experiment(target: str, regularizer: Regularizer, label: str = "learned") -> Experiment:
    training = {"trainer": "x", "target": target, "data": "x"}
    recipe = parse({"data": "x", "solvers": {label: "x"}, "training": training}, "test")
    solvers = {label: Iterative(Iteration(), QuadraticFidelity(), regularizer)}
    operator = DenseOperator.from_tensor(torch.eye(64), (1, 8, 8))
    return Experiment(recipe, Bumps(), operator, solvers, {}, torch.device("cpu"), torch.float32)


def test_a_label_names_the_solver() -> None:
    given = experiment("learned", Learned(Model()))
    assert training_target(given) is given.solvers["learned"]


@pytest.mark.parametrize("label", ["learned", "with 0.5 mm.dots"])
def test_a_path_names_a_part_whatever_its_weight_and_place_in_a_sum(label: str) -> None:
    model = Model()
    for path, regularizer in (
        ("regularizer.model", Learned(model)),
        ("regularizer.model", 0.5 * (2.0 * Learned(model))),
        ("regularizer.1.model", QuadraticRegularizer() + 0.5 * Learned(model)),
    ):
        assert training_target(experiment(f"{label}.{path}", regularizer, label)) is model
    part = training_target(experiment(f"{label}.regularizer.model.layers.1", Learned(model), label))
    assert part is model.layers[1]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("lerned", "'lerned' is none of the solvers"),
        ("learned.regularizer.modle", "no part 'modle' to train; did you mean"),
        ("learned.regularizer.model.layers.7", "no part '7'"),
        ("learned.stop.iterations", "no part 'iterations'"),
    ],
)
def test_what_is_not_there_gets_a_sentence(target: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as refused:
        training_target(experiment(target, 0.1 * Learned(Model())))
    assert str(refused.value).startswith("training.target")
