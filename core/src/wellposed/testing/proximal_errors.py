"""What a regularizer says of the accuracy of its proximal map, held against a much more accurate one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..recipes.builder import constructor_parameters
from ..space import norm
from .measure import at_most, same_tensor, that
from .promise import NotPromised, check
from .regularizers import STEP, gap_of, images_for, may, needs
from .subject import Subject

#: The relative duality gap of the reference, and the iterations that it may take.
_FINE, _LIMIT = 1e-10, 100_000


@check(applies=may("prox"), since="0.2")
def stated_accuracy_is_consistent(subject: Subject) -> None:
    """`prox_with_error` gives the image of `prox`, and an error: 0 if exact, finite if certified, else infinite."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    x = images_for(regularizer)
    accuracy = regularizer.prox_accuracy
    that(accuracy in ("exact", "certified", None), f"prox_accuracy of {subject.label} is {accuracy!r}")
    who = f"{subject.label}.prox_with_error"
    for step in (STEP, torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64)):
        u, error = regularizer.prox_with_error(x, step)
        that(tuple(error.shape) == (len(x),), f"the error of {subject.label}.prox must be ({len(x)},)")
        that(bool((error >= 0).all()), f"the error of {subject.label}.prox is negative: {error.tolist()}")
        that(same_tensor(u, regularizer.prox(x, step)), f"{who} gives another image than prox")
        if accuracy == "exact":
            that(not bool(error.any()), f"{subject.label}.prox is exact, and its error {error.tolist()}")
            own = [gap_of(regularizer) == 0]
            that(all(own), f"{subject.label}.prox claims to be exact, but iterates to a tolerance of its own")
        elif accuracy == "certified":
            that(bool(torch.isfinite(error).all()), f"{who} is certified, and gives {error.tolist()}")
        else:
            that(bool((error == torch.inf).all()), f"{who} certifies nothing, and gives {error.tolist()}")


@check(applies=may("prox"), since="0.2")
def prox_error_bounds_the_distance(subject: Subject) -> None:
    """The error of `prox_with_error` is at least the distance to the proximal map solved to rounding."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    if regularizer.prox_accuracy != "certified":
        raise NotPromised("it certifies no error")
    if "tolerance" not in constructor_parameters(subject.cls):
        raise NotPromised("it takes no tolerance, so that no reference can be made")
    known = constructor_parameters(subject.cls)
    finer = {"tolerance": _FINE} | ({"limit": _LIMIT} if "limit" in known else {})
    reference = Subject(subject.kind, subject.cls, {**subject.arguments, **finer}, subject.name).build()
    flat = torch.ones_like(images_for(regularizer, 1))
    for scale, step in ((1.0, STEP), (100.0, 2.0)):
        x = scale * torch.cat([images_for(regularizer, 2), flat, images_for(regularizer, 1, seed=5).cumsum(-1)])
        u, error = regularizer.prox_with_error(x, step)
        exact, left = reference.prox_with_error(x, step)
        distance = norm(u - exact)
        _assert_bound(error + left, distance, f"the error of {subject.label}.prox of images of size {scale:g}")
        at_most(
            float((error / (norm(x) + 1e-300)).max()),
            10 * math.sqrt(gap_of(regularizer)) + 1e-6,
            f"the error that {subject.label}.prox states, relative to the image: it must say something",
        )


def _assert_bound(bound: Tensor, distance: Tensor, what: str) -> None:
    that(
        bool((bound >= distance * (1 - 1e-9) - 1e-14).all()),
        f"{what} is smaller than the distance to the exact map: {bound.tolist()}, distance {distance.tolist()}",
    )


CHECKS = (stated_accuracy_is_consistent, prox_error_bounds_the_distance)
