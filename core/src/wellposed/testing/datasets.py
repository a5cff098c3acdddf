"""What every dataset promises: indexed samples that depend on their index alone."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from ..dataset import Dataset, Sample
from ..recipes.builder import constructor_parameters
from .global_state import watched
from .measure import at_most, relative, same_tensor, that
from .promise import NotPromised, check
from .subject import Subject


@check()
def holds_samples(subject: Subject) -> None:
    """It has at least one sample, each with a name and finite tensors without batch dimension."""
    dataset: Dataset = subject.build()
    that(len(dataset) > 0, f"{subject.label} holds no sample")
    for i in _some(dataset):
        sample = dataset[i]
        that(isinstance(sample, Sample), f"{subject.label}[{i}] must be a Sample, not a {type(sample).__name__}")
        that(bool(sample.name), f"sample {i} of {subject.label} has no name")
        tensors = _tensors(sample)
        that(bool(tensors), f"sample {i} of {subject.label} has neither an image nor a measurement")
        for what, tensor in tensors.items():
            that(bool(torch.isfinite(tensor).all()), f"the {what} of sample {i} of {subject.label} is not finite")
            that(
                tensor.is_floating_point() or tensor.is_complex(),
                f"the {what} of sample {i} of {subject.label} must be floating-point; it is {tensor.dtype}",
            )
        if sample.truth is not None:
            that(
                sample.truth.ndim >= 2,
                f"images of {subject.label} must be (C, *spatial); sample {i} is {tuple(sample.truth.shape)}",
            )


@check()
def samples_fit_their_operator(subject: Subject) -> None:
    """Where a sample brings its operator, image and measurement lie in its domain and range."""
    dataset: Dataset = subject.build()
    for i in _some(dataset):
        sample = dataset[i]
        if sample.operator is None:
            continue
        if sample.truth is not None:
            sample.operator.domain.check(sample.truth[None], subject.label, "images")
        if sample.measurement is not None:
            sample.operator.range.check(sample.measurement[None], subject.label, "measurements")


@check()
def samples_depend_on_their_index_alone(subject: Subject) -> None:
    """Read again, in another order, or by a new instance, sample `i` is bitwise the same; global randomness stays."""
    dataset: Dataset = subject.build()
    indices = _some(dataset)
    with watched(f"{subject.label} does not draw from generator_of(seed, index); reading it"):
        first = {i: dataset[i] for i in indices}
    for what, other in (("read backwards", dataset), ("of a new instance", subject.build())):
        for i in reversed(indices):
            that(_same(first[i], other[i]), f"sample {i} of {subject.label}, {what}, is another one")


@check()
def samples_are_their_own(subject: Subject) -> None:
    """Writing into a sample does not change what is read next."""
    dataset: Dataset = subject.build()
    kept = {what: tensor.clone() for what, tensor in _tensors(dataset[0]).items()}
    for tensor in _tensors(dataset[0]).values():
        tensor.mul_(0).add_(7)
    for what, tensor in _tensors(dataset[0]).items():
        that(same_tensor(tensor, kept[what]), f"{subject.label} hands out the {what} that it keeps; return a copy")


@check()
def counts_like_a_sequence(subject: Subject) -> None:
    """Negative indices count from the end, and indices outside raise `IndexError`."""
    dataset: Dataset = subject.build()
    last = len(dataset) - 1
    that(_same(dataset[-1], dataset[last]), f"{subject.label}[-1] must be its last sample")
    for index in (len(dataset), -len(dataset) - 1):
        try:
            dataset[index]
        except IndexError:
            continue
        raise AssertionError(f"{subject.label}[{index}] must raise IndexError; it holds {len(dataset)} samples")


@check(since="0.2")
def samples_differ(subject: Subject) -> None:
    """No two samples are the same, nor have the same name."""
    dataset: Dataset = subject.build()
    samples = [dataset[i] for i in _some(dataset)]
    for a, b in combinations(samples, 2):
        that(a.name != b.name, f"two samples of {subject.label} have the name {a.name}")
        mine, other = _tensors(a), _tensors(b)
        repeated = mine.keys() == other.keys() and all(same_tensor(mine[k], other[k]) for k in mine)
        that(not repeated, f"the samples {a.name} and {b.name} of {subject.label} are the same")


@check(since="0.2")
def samples_are_of_one_kind(subject: Subject) -> None:
    """All samples hold the same pieces, of the same number type, with the same number of axes and channels."""
    dataset: Dataset = subject.build()
    kinds = set()
    for i in _some(dataset):
        pieces = _tensors(dataset[i])
        kinds.add(tuple((what, t.dtype, t.ndim, t.shape[0] if what == "image" else 0) for what, t in pieces.items()))
    that(len(kinds) == 1, f"the samples of {subject.label} are of several kinds: {sorted(map(str, kinds))}")


@check(since="0.2")
def measurements_are_of_their_images(subject: Subject) -> None:
    """Where a sample holds image, measurement and operator, `A(image)` explains the measurement."""
    dataset: Dataset = subject.build()
    found = False
    for i in _some(dataset):
        sample = dataset[i]
        if sample.truth is None or sample.measurement is None or sample.operator is None:
            continue
        found = True
        real = sample.truth.dtype.to_real()
        with torch.no_grad():
            ideal = sample.operator.to(real)(sample.truth[None])[0]
        y = sample.measurement.to(ideal.dtype)
        at_most(
            relative(y, ideal),
            0.5,
            f"‖y − A(image)‖/‖A(image)‖ of sample {i} of {subject.label}; its measurement is of another image",
        )
    if not found:
        raise NotPromised("its samples do not hold image, measurement and operator together")


@check(per_class=True, since="0.2")
def seed_changes_the_samples(subject: Subject) -> None:
    """Where the constructor takes a seed, another one gives other samples, of one of the examples at least."""
    if "seed" not in constructor_parameters(subject.cls):
        raise NotPromised("it takes no seed")
    examples = list(subject.cls.examples())  # type: ignore[attr-defined]
    if not examples:
        raise NotPromised("it needs the user's own data")
    for arguments in examples:
        first, second = (
            Subject(subject.kind, subject.cls, {**arguments, "seed": seed}, subject.name).build() for seed in (101, 102)
        )
        if not all(_same(first[i], second[i]) for i in _some(first)):
            return
    raise AssertionError(f"{subject.label} gives the same samples for every seed")


def _some(dataset: Dataset) -> list[int]:
    """Small indices, some of the middle, and the last."""
    length = len(dataset)
    return sorted({i for i in (0, 1, 2, 3, 5, 7, 8, length // 2, length - 1) if i < length})


def _tensors(sample: Sample) -> dict[str, Tensor]:
    found = {"image": sample.truth, "measurement": sample.measurement}
    return {what: tensor for what, tensor in found.items() if tensor is not None}


def _same(first: Sample, second: Sample) -> bool:
    a, b = _tensors(first), _tensors(second)
    return first.name == second.name and a.keys() == b.keys() and all(same_tensor(a[k], b[k]) for k in a)


CHECKS = (
    holds_samples,
    samples_fit_their_operator,
    samples_depend_on_their_index_alone,
    samples_are_their_own,
    counts_like_a_sequence,
    samples_differ,
    samples_are_of_one_kind,
    measurements_are_of_their_images,
    seed_changes_the_samples,
)
