"""What every network promises: images to images, sample by sample in evaluation mode, and trainable."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import WellposedError
from ..space import Space, norm
from .adjointness import like
from .convexity import power
from .equivariance import assert_equivariances
from .global_state import watched
from .measure import (
    at_most,
    central_difference_error,
    dot,
    each_sample_alone,
    normal,
    relative,
    same_tensor,
    single,
    size_of,
    that,
    twice_the_same,
    unchanged,
)
from .promise import NotPromised, check
from .spaces import image_space
from .subject import Subject
from .tapes import assert_differentiable


def _network(subject: Subject, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor]:
    network = subject.build(dtype).eval()
    return network, normal(image_space(network), dtype=dtype)


@check()
def maps_images_to_images(subject: Subject) -> None:
    """`(B, C_in, *spatial) → (B, C_out, *spatial)`, finite, in the precision of its input."""
    for dtype in (torch.float32, torch.float64):
        network, x = _network(subject, dtype)
        with unchanged(subject.label, x=x):
            out = network(x)
        that(
            len(out) == len(x) and out.shape[2:] == x.shape[2:],
            f"{subject.label} must keep batch and image size of {tuple(x.shape)}; it gives {tuple(out.shape)}",
        )
        that(out.dtype.to_real() == dtype, f"{subject.label} turns {x.dtype} into {out.dtype}")
        that(bool(torch.isfinite(out).all()), f"{subject.label} gives values that are not finite")


@check()
def is_pure_and_samplewise(subject: Subject) -> None:
    """In evaluation mode the same image gives the same result, whatever else is in its batch."""
    network, x = _network(subject)
    twice_the_same(subject.label, lambda: network(x), between=lambda: network(2 * x))
    each_sample_alone(subject.label, network, x, 1e-9)


@check()
def every_parameter_learns(subject: Subject) -> None:
    """A finite gradient reaches every trainable parameter."""
    network, x = _network(subject)
    learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if not learned:
        raise NotPromised("it has no learned parameters")
    out = network.train()(x)
    (out - normal(image_space(network), seed=3).mean()).square().sum().backward()
    dead = [name for name, p in learned.items() if p.grad is None or not bool(torch.isfinite(p.grad).all())]
    that(not dead, f"no finite gradient reaches {', '.join(dead)} of {subject.label}")


@check()
def claimed_equivariances_hold(subject: Subject) -> None:
    """`f(g x) = g f(x)` for the groups in its attribute `equivariances`."""
    network, x = _network(subject)
    assert_equivariances(network, network, x, subject.label)


@check(applies=lambda cls: torch.cuda.is_available())
def runs_on_cuda(subject: Subject) -> None:
    """Moved to CUDA it computes there what it computes on the CPU."""
    network, x = _network(subject)
    expected = network(x)
    at_most(relative(network.to("cuda")(x.cuda()).cpu(), expected), 1e-8, f"{subject.label} on CUDA")


@check(since="0.2")
def is_the_same_in_float32(subject: Subject) -> None:
    """In float32 it computes what it computes in float64, to 1e-3."""
    double, x = _network(subject)
    rough, _ = _network(subject, torch.float32)
    rough.load_state_dict(double.state_dict())
    with torch.no_grad():
        at_most(relative(rough(single(x)), double(x)), 1e-3, f"{subject.label} in float32 against float64")


@check(since="0.2")
def derivatives_are_right(subject: Subject) -> None:
    """Its derivatives in the image and in its parameters are right: no stop on their way."""
    network, x = _network(subject)
    if not same_tensor(network(x).detach(), network(2 * x).detach()):
        assert_differentiable(lambda image: _values(network(image)), x, f"{subject.label} in its image", 1e-4)
    learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if not learned:
        return
    with torch.no_grad():  # weights that start at zero hold activations at their kinks
        for p in learned.values():
            p.add_(0.05 * like(p.detach()[None], 20)[0])
    out = _values(network(x))
    weight = like(out.detach(), 11)
    found = torch.autograd.grad(out, list(learned.values()), weight, allow_unused=True)
    for seed in (21, 22):
        moves = {name: 0.1 * like(p.detach()[None], seed)[0] for name, p in learned.items()}
        slope = sum(dot(g, moves[name]) for name, g in zip(learned, found, strict=True) if g is not None)

        def along(t: float, moves: dict[str, Tensor] = moves) -> float:
            state = {name: p.detach() + t * moves[name] for name, p in learned.items()}
            with torch.no_grad():
                return dot(_values(torch.func.functional_call(network, state, (x,))), weight)

        size = sum(size_of(g) * size_of(moves[name]) for name, g in zip(learned, found, strict=True) if g is not None)
        error = central_difference_error(along, slope, size)
        at_most(error, 1e-3, f"the derivative of {subject.label} in its parameters, against central differences")


@check(since="0.2")
def evaluation_changes_nothing(subject: Subject) -> None:
    """In evaluation mode neither parameters, nor buffers, nor global random numbers change."""
    network, x = _network(subject)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    with watched(f"evaluating {subject.label}"), torch.no_grad():
        network(x)
    for name, tensor in network.state_dict().items():
        that(same_tensor(tensor, before[name]), f"{name} of {subject.label} changes when it is evaluated")


@check(since="0.2")
def takes_images_of_other_sizes(subject: Subject) -> None:
    """Images of other sizes, not square, come out in their size, or are refused with a sentence."""
    network, x = _network(subject)
    if any(isinstance(getattr(part, "domain", None), Space) for part in network.modules()):
        raise NotPromised("it belongs to one image size")
    image = normal(Space((x.shape[1], 24, 40)), 2)
    try:
        with torch.no_grad():
            out = network(image)
    except WellposedError as refusal:
        raise NotPromised(f"it refuses images of that size: {refusal}") from refusal
    that(
        len(out) == 2 and out.shape[2:] == image.shape[2:],
        f"{subject.label} must keep the size of {tuple(image.shape)}; it gives {tuple(out.shape)}",
    )
    at_most(relative(network(image[1:]), out[1:]), 1e-9, f"{subject.label} on a sample of that size alone")


@check(since="0.2")
def claimed_lipschitz_constant_holds(subject: Subject) -> None:
    """`‖f(x) − f(z)‖ ≤ L ‖x − z‖` with its attribute `lipschitz`, along the directions it stretches most."""
    network, x = _network(subject)
    bound = getattr(network, "lipschitz", None)
    if not isinstance(bound, float):
        raise NotPromised("it claims no Lipschitz constant (attribute `lipschitz`)")
    with torch.no_grad():
        for point in (x, 0.01 * x, 100 * x):

            def slope(direction: Tensor, point: Tensor = point) -> Tensor:
                return (network(point + 1e-5 * direction) - network(point)) / 1e-5

            direction = power(slope, like(x, 3))
            at_most(
                float(norm(slope(direction)).max()), bound * (1 + 1e-4), f"the Lipschitz constant of {subject.label}"
            )
        far = norm(network(x) - network(-3 * x)) / norm(4 * x)
        at_most(float(far.max()), bound * (1 + 1e-9), f"‖f(x) − f(z)‖/‖x − z‖ of {subject.label} for images far apart")


def _values(out: Tensor) -> Tensor:
    return torch.view_as_real(out) if out.is_complex() else out


CHECKS = (
    maps_images_to_images,
    is_pure_and_samplewise,
    every_parameter_learns,
    claimed_equivariances_hold,
    is_the_same_in_float32,
    derivatives_are_right,
    evaluation_changes_nothing,
    takes_images_of_other_sizes,
    claimed_lipschitz_constant_holds,
    runs_on_cuda,
)
