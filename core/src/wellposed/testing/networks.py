"""What every network promises: images to images, sample by sample in evaluation mode, and trainable."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .equivariance import assert_equivariances
from .measure import at_most, each_sample_alone, normal, relative, that, twice_the_same, unchanged
from .promise import NotPromised, check
from .spaces import image_space
from .subject import Subject


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


CHECKS = (
    maps_images_to_images,
    is_pure_and_samplewise,
    every_parameter_learns,
    claimed_equivariances_hold,
    runs_on_cuda,
)
