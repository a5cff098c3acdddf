"""What every solver promises: images with verdicts, no hidden state, and learning where it is learned."""

from __future__ import annotations

import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import CompositionError, ShapeError, WellposedError
from ..operator import Operator
from ..solution import Verdict
from ..solver import Solver
from ..space import inner, norm
from .doubles import PeriodicBlur
from .equivariance import assert_equivariances
from .global_state import watched
from .measure import (
    at_most,
    each_sample_alone,
    generator,
    lopsided,
    normal,
    relative,
    same_tensor,
    single,
    that,
    twice_the_same,
    unchanged,
)
from .problems import image_problem
from .promise import NotPromised, check
from .subject import Subject


def solvable(subject: Subject) -> tuple[Solver, Operator, Tensor]:
    """The solver in evaluation mode, an operator that it accepts and three measurements."""
    solver = subject.build().eval()
    return solver, *image_problem(solver)


@check()
def reconstructs_images(subject: Subject) -> None:
    """`forward(y, operator)` gives finite images in the operator's domain and changes nothing."""
    solver, operator, y = solvable(subject)
    with unchanged(subject.label, y=y):
        x = solver(y, operator)
    expected = (len(y), *operator.domain.shape)
    that(tuple(x.shape) == expected, f"{subject.label} must give images {expected}; it gives {tuple(x.shape)}")
    that(x.dtype.to_real() == torch.float64, f"{subject.label} turns {y.dtype} measurements into {x.dtype} images")
    that(bool(torch.isfinite(x).all()), f"{subject.label} gives images that are not finite")


@check(since="0.2")
def images_truly(subject: Subject) -> None:
    """What is not learned gives smooth images back at their scale and place, and explains the measurement.

    A solver whose images follow a prior of their own says so by a class attribute `follows_prior = True`.
    """
    solver, operator, y = solvable(subject)
    if any(True for _ in solver.parameters()) or getattr(solver, "follows_prior", False):
        raise NotPromised("its images depend on what was learned")
    truth = lopsided(operator.domain)
    x = solver(y, operator).detach()
    error = norm(x - truth) / norm(truth)
    at_most(float(error.max()), 0.5, f"‖x − truth‖/‖truth‖ of {subject.label} for measurements without noise")
    at_most(float((norm(operator(x) - y) / norm(y)).max()), 0.45, f"‖A x − y‖/‖y‖ of {subject.label} without noise")
    factor = inner(x, truth) / inner(x, x)
    at_most(float((factor - 1).abs().max()), 0.2, f"the best factor for images of {subject.label}, less 1")


@check(since="0.2")
def works_in_float32(subject: Subject) -> None:
    """In float32 it gives float32 images, near those in float64."""
    solver, operator, y = solvable(subject)
    rough = subject.build(torch.float32).eval()
    rough.load_state_dict(solver.state_dict())
    try:
        with torch.no_grad():
            x = rough(single(y), operator.to(torch.float32))
    finally:
        operator.to(torch.float64)
    that(x.dtype.to_real() == torch.float32, f"{subject.label} turns float32 measurements into {x.dtype} images")
    at_most(relative(x, solver(y, operator).detach()), 1e-2, f"{subject.label} in float32 against float64")


@check(since="0.2")
def measurements_of_nothing_are_solved(subject: Subject) -> None:
    """A zero measurement, alone or beside others, has a finite image and a good verdict."""
    solver, operator, y = solvable(subject)
    y = y.clone()
    y[1] = 0
    solution = solver.solve(solver.pose(y, operator))
    that(bool(torch.isfinite(solution.x).all()), f"{subject.label} gives images that are not finite for zero data")
    bad = [v.name for v in solution.verdict if not v.ok and v is not Verdict.ITERATION_LIMIT]
    that(not bad, f"{subject.label} fails on a measurement that is zero: {', '.join(bad)}")


@check(since="0.2")
def solving_changes_nothing(subject: Subject) -> None:
    """In evaluation mode neither weights, nor buffers, nor anything of the process changes."""
    solver, operator, y = solvable(subject)
    before = {name: t.clone() for name, t in solver.state_dict().items()}
    with watched(f"solving with {subject.label}"), torch.no_grad():
        solver(y, operator)
        solver.solve(solver.pose(y, operator))
    for name, tensor in solver.state_dict().items():
        that(same_tensor(tensor, before[name]), f"{name} of {subject.label} changes when it solves")


@check(since="0.2")
def certified_bounds_hold(subject: Subject) -> None:
    """Where an accuracy is certified, the image lies that near to one that is certified a thousand times as near."""
    solver, operator, y = solvable(subject)
    found = []
    for accuracy in (1e-2, 1e-5):
        try:
            found.append(solver.solve(solver.pose(y, operator), accuracy=accuracy))
        except CompositionError as refusal:
            raise NotPromised(f"it certifies no accuracy here: {refusal}") from refusal
    rough, fine = found
    if rough.bound is None or fine.bound is None:
        raise NotPromised("it gives no bound")
    apart = norm(rough.x - fine.x)
    excess = float((apart - rough.bound - fine.bound).max())
    at_most(excess, 1e-12, f"the distance of two images of {subject.label} above the sum of their bounds")


@check()
def has_no_hidden_state(subject: Subject) -> None:
    """The same measurement gives bitwise the same image: no warm start from what was solved before."""
    solver, operator, y = solvable(subject)
    twice_the_same(subject.label, lambda: solver(y, operator), between=lambda: solver(3 * y, operator))


@check()
def treats_samples_independently(subject: Subject) -> None:
    """The image of a measurement does not depend on the others in its batch."""
    solver, operator, y = solvable(subject)
    with torch.no_grad():
        each_sample_alone(subject.label, lambda part: solver(part, operator), y, 1e-8)


@check()
def gives_verdicts(subject: Subject) -> None:
    """`solve` gives one verdict per sample, ok for sound measurements, and the image of `forward`."""
    solver, operator, y = solvable(subject)
    solution = solver.solve(solver.pose(y, operator))
    count = len(solution.verdict)
    that(count == len(y), f"{subject.label} gives {count} verdicts for {len(y)} samples")
    lost = [v.name for v in solution.verdict if not v.ok and v is not Verdict.ITERATION_LIMIT]
    that(not lost, f"{subject.label} fails on a sound measurement: {', '.join(lost)}")
    at_most(relative(solution.x, solver(y, operator)), 1e-10, f"{subject.label}.solve against its forward")


@check()
def survives_broken_measurements(subject: Subject) -> None:
    """A sample with NaN gets the verdict `NON_FINITE_MEASUREMENT`; the others are as without it."""
    solver, operator, y = solvable(subject)
    broken = y.clone()
    broken[1].reshape(-1)[0] = float("nan")
    solution = solver.solve(solver.pose(broken, operator))
    that(
        solution.verdict[1] is Verdict.NON_FINITE_MEASUREMENT,
        f"{subject.label} must tell of a measurement with NaN; its verdict is {solution.verdict[1].name}",
    )
    that(bool(torch.isfinite(solution.x).all()), f"{subject.label} returns NaN for a measurement with NaN")
    sound = [0, 2]
    at_most(
        relative(solution.x[sound], solver(y, operator)[sound]),
        1e-8,
        f"the other images of {subject.label} beside a measurement with NaN",
    )


@check()
def refuses_other_shapes(subject: Subject) -> None:
    """A measurement that is not in the operator's range raises `ShapeError`."""
    solver, operator, y = solvable(subject)
    wrong = torch.cat([y, y[..., :1]], dim=-1)
    for attempt in (lambda: solver(wrong, operator), lambda: solver.solve(solver.pose(wrong, operator))):
        try:
            attempt()
        except ShapeError:
            continue
        raise AssertionError(f"{subject.label} must refuse measurements {tuple(wrong.shape)} with ShapeError")


@check()
def certifies_or_refuses_accuracy(subject: Subject) -> None:
    """An asked-for accuracy is certified by a bound, reported as not reached, or refused."""
    solver, operator, y = solvable(subject)
    try:
        solution = solver.solve(solver.pose(y, operator), accuracy=1e-2)
    except CompositionError as refusal:
        raise NotPromised(f"it certifies no accuracy here: {refusal}") from refusal
    for i, verdict in enumerate(solution.verdict):
        if verdict is Verdict.CERTIFIED:
            that(solution.bound is not None, f"{subject.label} certifies an accuracy and gives no bound")
            assert solution.bound is not None
            at_most(float(solution.bound[i]), 1e-2, f"the bound of {subject.label} where it certifies an accuracy")
        else:
            that(
                verdict is Verdict.ITERATION_LIMIT,
                f"{subject.label} was asked for an accuracy and says {verdict.name}; it must certify or say it did not",
            )


@check()
def weights_survive_safetensors(subject: Subject) -> None:
    """Weights saved and loaded into a new instance give bitwise the same images."""
    solver, operator, y = solvable(subject)
    if not solver.state_dict():
        raise NotPromised("it has no weights")
    with torch.no_grad():
        for p in solver.parameters():
            p.mul_(0.9)
    saved = safetensors.torch.save({name: t.contiguous() for name, t in solver.state_dict().items()})
    other = subject.build().eval()
    other.load_state_dict(safetensors.torch.load(saved))
    that(
        same_tensor(solver(y, operator).detach(), other(y, operator).detach()),
        f"{subject.label} gives another image after its weights went through a file",
    )


@check()
def overfits_one_sample(subject: Subject) -> None:
    """A learned solver halves its loss on one sample within 150 steps of Adam; every weight gets a gradient.

    Where its image is right already the sample is another one: the image of the same solver with other weights,
    or half the truth.
    """
    solver, operator, y = solvable(subject)
    if not any(p.requires_grad for p in solver.parameters()):
        raise NotPromised("it is not learned")
    truth, y = lopsided(operator.domain)[:1], y[:1]
    with torch.no_grad():
        right = relative(solver.train()(y, operator), truth) < 0.1
        targets = [_with_other_weights(subject)(y, operator), 0.5 * truth] if right else [truth]
    attempts = [_losses(subject, y, operator, target) for target in targets[:1]]
    for target in targets[1:]:
        if attempts[-1][-1] > 0.5 * attempts[-1][0]:
            attempts.append(_losses(subject, y, operator, target))
    losses = attempts[-1]
    that(
        losses[-1] <= 0.5 * losses[0],
        f"{subject.label} must learn one sample: its loss fell from {losses[0]:.3g} to {min(losses):.3g} in 150 steps "
        f"of Adam, not to half",
    )


def _losses(subject: Subject, y: Tensor, operator: Operator, truth: Tensor) -> list[float]:
    """The losses of a new instance while it learns one sample, up to the first that is half of the first."""
    solver = subject.build().train()
    learned = {name: p for name, p in solver.named_parameters() if p.requires_grad}
    optimiser = torch.optim.Adam(list(learned.values()), lr=3e-3)
    losses: list[float] = []
    for count in range(150):
        loss = nn.functional.mse_loss(_real(solver(y, operator)), _real(truth))
        optimiser.zero_grad()
        that(loss.requires_grad, f"{subject.label} has learned weights, but its image does not depend on them")
        loss.backward()
        if count == 0:
            dead = [name for name, p in learned.items() if p.grad is None]
            that(not dead, f"no gradient reaches {', '.join(dead)} of {subject.label}")
        optimiser.step()
        losses.append(loss.item())
        if losses[-1] <= 0.5 * losses[0]:
            break
    return losses


def _with_other_weights(subject: Subject) -> Solver:
    """A new instance whose weights are moved by a fifth of their size, so that its images can be learned."""
    solver, draws = subject.build().train(), generator(5)
    with torch.no_grad():
        for p in solver.parameters():
            size = p.square().mean().sqrt().clamp_min(0.05)
            p.add_(0.2 * size * torch.randn(p.shape, generator=draws, dtype=p.dtype))
    return solver


@check()
def claimed_equivariances_hold(subject: Subject) -> None:
    """`f(g y) = g f(y)` for the groups in its attribute `equivariances`, with an operator that commutes with them."""
    solver, operator = subject.build().eval(), PeriodicBlur((1, 16, 16))
    y = normal(operator.range)
    try:
        solver(y, operator)
    except WellposedError as refusal:
        raise NotPromised(f"it does not accept a blur, which would move with the image: {refusal}") from refusal
    assert_equivariances(solver, lambda part: solver(part, operator), y, subject.label)


@check(applies=lambda cls: torch.cuda.is_available())
def runs_on_cuda(subject: Subject) -> None:
    """Moved to CUDA it computes there what it computes on the CPU."""
    solver, operator, y = solvable(subject)
    expected = solver(y, operator)
    x = solver.to("cuda")(y.cuda(), operator.to("cuda"))
    that(x.is_cuda, f"{subject.label} on CUDA returns an image on {x.device}")
    at_most(relative(x.cpu(), expected), 1e-6, f"{subject.label} must compute the same on CUDA")


def _real(image: Tensor) -> Tensor:
    return torch.view_as_real(image) if image.is_complex() else image


CHECKS = (
    reconstructs_images,
    images_truly,
    works_in_float32,
    measurements_of_nothing_are_solved,
    solving_changes_nothing,
    certified_bounds_hold,
    has_no_hidden_state,
    treats_samples_independently,
    gives_verdicts,
    survives_broken_measurements,
    refuses_other_shapes,
    certifies_or_refuses_accuracy,
    weights_survive_safetensors,
    overfits_one_sample,
    claimed_equivariances_hold,
    runs_on_cuda,
)
