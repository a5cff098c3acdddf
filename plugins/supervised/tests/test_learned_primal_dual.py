"""The learned primal-dual scheme against its definition."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from wellposed.errors import CompositionError, InputError
from wellposed.fidelity import Unstated
from wellposed.problem import Problem
from wellposed.solution import Verdict
from wellposed.testing.doubles import DenseOperator
from wellposed_supervised.iterations.primal_dual import Channels, PrimalDualSteps
from wellposed_supervised.solvers.learned_primal_dual import LearnedPrimalDual


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in LearnedPrimalDual().parameters()) == 253_220


def test_initial_weights_are_those_published_and_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first, second, other = LearnedPrimalDual(), LearnedPrimalDual(), LearnedPrimalDual(seed=1)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())  # building draws nothing from the global generator
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
        if value.ndim == 4:
            fans = (value.shape[0] + value.shape[1]) * 9
            assert value.abs().max() <= (6 / fans) ** 0.5
            assert value.std() == pytest.approx((2 / fans) ** 0.5, rel=0.1)
            assert not torch.equal(value, other.state_dict()[name])
        else:
            assert not value.any()


def test_a_step_is_the_published_one(toy: ModuleType) -> None:
    operator = (2.0 * toy.Blur()).to(torch.float64)
    steps = PrimalDualSteps(2, Channels(1, 1, 3), 4).double()
    y = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    problem = Problem(operator, y, Unstated())
    f, h = torch.zeros(2, 3, 8, 8, dtype=torch.float64), torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    unit = toy.Blur().double()  # the operator divided by its norm
    state = steps.init(problem)
    for k in range(2):
        h = h + steps.dual[k](torch.cat([h, unit(f[:, 1:2]), y / operator.norm()], 1))
        f = f + steps.primal[k](torch.cat([f, unit.adjoint(h[:, :1])], 1))
        state = steps.step(problem, state)
    scale = operator.norm() / 2.0  # Lanczos is tight to 0.1 %, not exact
    assert scale == pytest.approx(1.0, abs=1e-3)
    torch.testing.assert_close(steps.estimate(state), f[:, :1], rtol=0, atol=5e-3 * float(f.detach().abs().max()))


def test_the_scale_of_the_operator_does_not_matter(toy: ModuleType) -> None:
    solver = LearnedPrimalDual(steps=2, width=6).double()
    y = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    small, large = toy.Blur().double(), (1000.0 * toy.Blur()).double()
    torch.testing.assert_close(solver(y, small), solver(1000 * y, large), rtol=1e-10, atol=1e-12)


def test_gradients_agree_with_finite_differences(toy: ModuleType) -> None:
    solver, operator = LearnedPrimalDual(steps=2, memory=2, width=3).double(), toy.Blur(4).double()
    y = torch.randn(1, 1, 4, 4, dtype=torch.float64)
    names = [n for n, p in solver.named_parameters() if p.ndim == 4]
    weights = tuple(dict(solver.named_parameters())[n].detach().requires_grad_() for n in names)
    with torch.no_grad():
        for name, p in solver.named_parameters():
            if ".1." in name or ".3." in name:
                p.fill_(0.5)  # away from the corner of the PReLU's flat side
    assert torch.autograd.gradcheck(
        lambda *w: torch.func.functional_call(solver, dict(zip(names, w, strict=True)), (y, operator)),
        weights,
        fast_mode=True,
    )


def test_checkpointing_changes_no_number(toy: ModuleType) -> None:
    y = torch.randn(1, 1, 8, 8)
    plain, saving = LearnedPrimalDual(steps=3, width=4), LearnedPrimalDual(steps=3, width=4, checkpoint=True)
    for solver in (plain, saving):
        solver(y, toy.Blur()).square().sum().backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)  # type: ignore[arg-type]


def test_it_is_run_by_the_driver_with_verdicts_and_a_start(toy: ModuleType) -> None:
    solver = LearnedPrimalDual(steps=3, width=4)
    problem = solver.pose(torch.rand(2, 1, 8, 8), toy.Blur())
    counts: list[int] = []
    solution = solver.solve(problem, observer=lambda progress: counts.append(progress.count))
    assert counts == [1, 2, 3]
    assert solution.verdict == (Verdict.COMPLETED, Verdict.COMPLETED)
    assert solution.iterations == (3, 3)
    assert not torch.equal(solver.solve(problem, init=torch.ones(2, 1, 8, 8)).x, solution.x)


def test_it_refuses_what_it_was_not_made_for(toy: ModuleType) -> None:
    dense = DenseOperator.from_tensor(torch.eye(64), (1, 8, 8)).float()
    with pytest.raises(CompositionError, match=r"measurements of shape \(1, rows, columns\)"):
        LearnedPrimalDual(steps=1)(torch.rand(1, 64), dense)
    with pytest.raises(CompositionError, match="images of shape"):
        LearnedPrimalDual(steps=1, image_channels=2)(torch.rand(1, 1, 8, 8), toy.Blur())
    with pytest.raises(InputError, match="memory ≥ 2"):
        LearnedPrimalDual(memory=1)
    iteration = PrimalDualSteps(1, Channels(1, 1, 2), 2)
    problem = Problem(toy.Blur(), torch.rand(1, 1, 8, 8), Unstated())
    with pytest.raises(InputError, match="no layer 2"):
        iteration.step(problem, iteration.step(problem, iteration.init(problem)))


def test_one_sample_can_be_learned(toy: ModuleType) -> None:
    sample = toy.data()[0]
    solver = LearnedPrimalDual(steps=3, width=8)
    optimizer = torch.optim.Adam(solver.parameters(), lr=3e-3)
    for _ in range(150):
        loss = (solver(sample.measurement[None], toy.Blur()) - sample.truth[None]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 1e-4  # the image's mean square is about 0.3


def test_mixed_precision_rounds_the_networks_and_not_the_operator(toy: ModuleType) -> None:
    sample = toy.data()[0]
    solver = LearnedPrimalDual(steps=2, width=8)
    whole = solver(sample.measurement[None], toy.Blur())
    with torch.autocast("cpu", torch.bfloat16):
        x = solver(sample.measurement[None], toy.Blur())
    torch.testing.assert_close(x.float(), whole, atol=0.02, rtol=0.05)
    assert not torch.equal(x.float(), whole)
    x.float().square().sum().backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in solver.parameters())


def test_its_layers_share_all_parameters_among_them() -> None:
    iteration = PrimalDualSteps(3, Channels(1, 1, 2), 4)
    layers = iteration.layer_parameters()
    assert len(layers) == iteration.depth == 3
    assert {id(p) for layer in layers for p in layer} == {id(p) for p in iteration.parameters()}
    assert sum(map(len, layers)) == len(list(iteration.parameters()))
