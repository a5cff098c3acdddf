"""What every dataset promises: indexed samples that depend on their index alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..dataset import Dataset, Sample
from .global_state import watched
from .measure import same_tensor, that
from .promise import check
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


def _some(dataset: Dataset) -> list[int]:
    """The first two and the last index."""
    return sorted({0, min(1, len(dataset) - 1), len(dataset) - 1})


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
)
