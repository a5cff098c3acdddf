"""Regularizers that break one promise are caught by the check of that promise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.regularizer import Analysis, Regularizer, Term, Zero
from wellposed.space import norm, per_sample
from wellposed.testing import check_component
from wellposed.testing.doubles import QuadraticRegularizer


class Lasso(Regularizer):
    """The l1 norm, all by hand: nonsmooth, with a conjugate."""

    source = "test"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True
    invariances = frozenset({"translation", "c4", "d4"})

    def forward(self, x: Tensor) -> Tensor:
        return x.abs().flatten(1).sum(1)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        size = x.abs()
        return x * ((size - per_sample(step, x)) / size.clamp_min(1e-300)).clamp_min(0)

    def conjugate(self, p: Tensor) -> Tensor:
        outside = p.abs().flatten(1).amax(1) > 1 + 1e-9
        return torch.where(outside, torch.inf, 0.0).to(p.dtype.to_real())


class Differences(Analysis):
    """Periodic differences along the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(-1, -1) - x

    def adjoint(self, p: Tensor) -> Tensor:
        return p.roll(1, -1) - p

    def norm(self, x: Tensor) -> float:
        return 2.0


class Jumps(Regularizer):
    """The l1 norm of differences: a split with an analysis, no proximal map."""

    source = "test"
    capabilities = frozenset({"value", "split"})
    convex = True
    analysis_class = Differences

    def forward(self, x: Tensor) -> Tensor:
        return Differences()(x).abs().flatten(1).sum(1)

    def split(self) -> list[Term]:
        return [Term(Lasso(), self.analysis_class())]


class Positive(Regularizer):
    """The indicator of nonnegative images: infinite values."""

    source = "test"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.where((self._real(x) < 0).flatten(1).any(1), torch.inf, 0.0).to(x.dtype)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return self._real(x).clamp_min(0)

    @staticmethod
    def _real(x: Tensor) -> Tensor:
        if x.is_complex():
            raise InputError("only real images can be nonnegative; take the absolute value first")
        return x


# Wrong ones ---------------------------------------------------------------------------------------


class ProxOfTwice(Lasso):
    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return super().prox(x, 2 * step)


class ProxForgetsStep(QuadraticRegularizer):
    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return super().prox(x, 0 * per_sample(step, x) + 1.0)


class ProxOffByOnePercent(QuadraticRegularizer):
    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return 1.01 * super().prox(x, step)


class ProxUsesMeanStep(QuadraticRegularizer):
    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return super().prox(x, step.mean() if isinstance(step, Tensor) else step)


class HardThreshold(Lasso):
    """A proximal map of another functional: expansive."""

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return torch.where(x.abs() > 2 * per_sample(step, x), x, 0.0)


class WarmStarted(QuadraticRegularizer):
    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        result = super().prox(x, step)
        if getattr(self, "last", None) is not None and self.last.shape == x.shape:
            result = result + 1e-5 * self.last
        self.last = result.detach()
        return result


class WrongGradient(QuadraticRegularizer):
    def grad(self, x: Tensor) -> Tensor:
        return 1.02 * super().grad(x)


class SumOverBatch(QuadraticRegularizer):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sum().expand(len(x))


class ScalarValue(QuadraticRegularizer):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sum()


class ChangesImage(QuadraticRegularizer):
    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return x.div_(1 + self.factor * per_sample(step, x))


class TooSmooth(QuadraticRegularizer):
    def __init__(self, factor: float = 0.1) -> None:
        super().__init__(factor)
        self.smoothness = 0.9 * factor


class TooConvex(QuadraticRegularizer):
    def __init__(self, factor: float = 0.1) -> None:
        super().__init__(factor)
        self.strong_convexity = 1.1 * factor


class FalselyConvex(Regularizer):
    """`Σ x²/(1 + x²)` is smooth and not convex."""

    source = "test"
    capabilities = frozenset({"value", "grad"})
    convex = True
    smoothness = 2.0

    def forward(self, x: Tensor) -> Tensor:
        return (x.abs().square() / (1 + x.abs().square())).flatten(1).sum(1)

    def grad(self, x: Tensor) -> Tensor:
        return 2 * x / (1 + x.abs().square()).square()


class FalselyInvariant(QuadraticRegularizer):
    """A weight that grows to the right."""

    capabilities = frozenset({"value"})

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * torch.linspace(1, 2, x.shape[-1], dtype=x.dtype, device=x.device))


class WrongSplit(Jumps):
    def split(self) -> list[Term]:
        return [Term(2 * Lasso(), Differences())]


class WrongAnalysisAdjoint(Differences):
    def adjoint(self, p: Tensor) -> Tensor:
        return p.roll(-1, -1) - p


class SmallAnalysisNorm(Differences):
    def norm(self, x: Tensor) -> float:
        return 1.9


class WrongAnalysis(Jumps):
    analysis_class = WrongAnalysisAdjoint


class WrongAnalysisNorm(Jumps):
    analysis_class = SmallAnalysisNorm


class TermWithWrongProx(Jumps):
    def split(self) -> list[Term]:
        return [Term(ProxOfTwice(), Differences())]


class WrongConjugate(QuadraticRegularizer):
    def conjugate(self, p: Tensor) -> Tensor:
        return 0.5 * self.factor * norm(p).square()


class Undeclared(QuadraticRegularizer):
    capabilities = frozenset({"value", "grad"})


class Nothing(Regularizer):
    source = "test"


class ClampsComplex(Positive):
    @staticmethod
    def _real(x: Tensor) -> Tensor:
        return x


class LopsidedProx(Lasso):
    """Shrinks columns to the right more: the functional turns with the image, its proximal map does not."""

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        more = torch.linspace(1.0, 1.05, x.shape[-1], dtype=x.dtype)
        return super().prox(x / more, step)


_WRONG = {
    LopsidedProx: {"claimed-invariances-hold"},
    ProxOfTwice: {"prox-minimises-its-objective", "conjugate-satisfies-fenchel"},
    ProxForgetsStep: {"prox-minimises-its-objective"},
    ProxOffByOnePercent: {"prox-minimises-its-objective"},
    ProxUsesMeanStep: {"prox-takes-step-per-sample"},
    HardThreshold: {"prox-minimises-its-objective", "prox-is-firmly-nonexpansive"},
    WarmStarted: {"is-pure"},
    WrongGradient: {"gradient-is-right"},
    SumOverBatch: {"treats-samples-independently"},
    ScalarValue: {"value-is-one-number-per-image"},
    ChangesImage: {"leaves-inputs-unchanged"},
    TooSmooth: {"claimed-smoothness-holds"},
    TooConvex: {"claimed-convexity-holds", "gradient-is-monotone"},
    FalselyConvex: {"claimed-convexity-holds", "gradient-is-monotone"},
    FalselyInvariant: {"claimed-invariances-hold"},
    WrongSplit: {"split-adds-up", "takes-images-of-other-shapes"},
    WrongAnalysis: {"split-analysis-is-linear-with-adjoint"},
    WrongAnalysisNorm: {"split-analysis-is-linear-with-adjoint"},
    TermWithWrongProx: {"split-terms-have-right-proxes"},
    WrongConjugate: {"conjugate-satisfies-fenchel", "conjugate-knows-its-domain"},
    Undeclared: {"declares-what-it-has"},
    Nothing: {"declares-what-it-has"},
    ClampsComplex: {"complex-images-work-or-are-refused"},
}


@pytest.mark.parametrize("cls", _WRONG, ids=lambda cls: cls.__name__)
def test_wrong_regularizer_is_caught(cls: type, failures) -> None:
    assert _WRONG[cls] <= set(failures("regularizers", cls))


@pytest.mark.parametrize("cls", [QuadraticRegularizer, Zero, Lasso, Jumps, Positive], ids=lambda cls: cls.__name__)
def test_right_regularizer_passes(cls: type, failures) -> None:
    assert failures("regularizers", cls) == {}


def test_narrow_mistakes_fail_nothing_else(failures) -> None:
    for cls in (ProxUsesMeanStep, TooSmooth, WrongSplit, WrongAnalysisNorm, Nothing, WrongConjugate):
        assert set(failures("regularizers", cls)) == _WRONG[cls]


def test_checks_of_absent_capabilities_are_left_out() -> None:
    names = {r.check for r in check_component("regularizers", Jumps)}
    assert "split-adds-up" in names
    assert not names & {"prox-minimises-its-objective", "gradient-is-right"}


def test_capabilities_of_an_instance_are_told_as_skips() -> None:
    class Chosen(QuadraticRegularizer):
        capabilities = frozenset()

        def __init__(self) -> None:
            super().__init__(0.1)
            self.capabilities = frozenset({"prox"})

    results = {r.check: r for r in check_component("regularizers", Chosen)}
    assert results["prox-takes-step-per-sample"].outcome == "passed"
    assert results["gradient-is-right"].outcome == "skipped"
    assert "declares no grad" in results["gradient-is-right"].message
