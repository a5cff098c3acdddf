"""Regularizers: what is known about the image, as a functional, a gradient, a proximal map or a split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .errors import CapabilityMissing, InputError
from .module import ComponentModule, check_factor
from .space import per_sample

Capability = Literal["value", "grad", "prox", "split"]
_METHODS = {"value": "forward", "grad": "grad", "prox": "prox", "split": "split"}


@dataclass(frozen=True)
class Term:
    """One term `g(K x)`: `functional` has a proximal map; `analysis` is `K`, or `None` for the identity.

    `analysis(x)` and `synthesis(p)` are `K` and `K*` on batched images of any size, `norm` bounds `‖K‖`.
    """

    functional: Regularizer
    analysis: Analysis | None = None


class Analysis(nn.Module):
    """A linear map `K` that works on images of every size: `forward`, `adjoint` and a norm bound."""

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def adjoint(self, p: Tensor) -> Tensor:
        raise NotImplementedError

    def norm(self, x: Tensor) -> float:
        """An upper bound of `‖K‖` on images like `x`."""
        raise NotImplementedError

    def solve_normal(self, rhs: Tensor, shift: float) -> Tensor | None:
        """`(K*K + shift·I)⁻¹ rhs` where a fast transform diagonalises it; else `None`."""
        return None


class Regularizer(ComponentModule):
    """`R(x)`, with any of: value `forward(x) → (B,)`, `grad(x)`, `prox(x, step)`, `split()`.

    `capabilities` declares which of them exist; a subclass states it as a class attribute and the
    class is refused when it promises a method that it does not write. Convention of the proximal map,
    with `step` a number or `(B,)`: `prox(x, s) = argmin_u s·R(u) + ½‖u − x‖²`. `split` writes
    `R(x) = Σ_i g_i(K_i x)` for primal-dual methods.

    Weights and sums are algebra: `0.1 * TotalVariation() + Nonnegativity()`.
    """

    capabilities: frozenset[Capability] = frozenset()
    #: Properties that convergence proofs need. `smoothness` is the Lipschitz constant of `grad`.
    convex: bool = False
    strong_convexity: float = 0.0
    smoothness: float | None = None
    #: How near `prox` is to the proximal map: "exact", a formula, right to rounding (or a learned map, which is its
    #: own definition); "certified", iterated inside, `prox_with_error` bounds the error; `None`, iterated without a
    #: bound, so that nothing is certified with it. Values of certified ones may be inexact too.
    prox_accuracy: Literal["exact", "certified"] | None = "exact"
    #: Groups under which `R(g x) = R(x)`, by name: "translation", "c4" (90° rotations), "d4", ….
    invariances: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        declared = cls.__dict__.get("capabilities")
        if not isinstance(declared, frozenset):
            return
        for capability in declared:
            if capability not in get_args(Capability):
                raise TypeError(f"{cls.__name__} declares the unknown capability {capability!r}")
            method = _METHODS[capability]
            if getattr(cls, method) is getattr(Regularizer, method) and capability not in ("grad", "split"):
                raise TypeError(f"{cls.__name__} declares {capability!r} but does not write {method}()")

    def forward(self, x: Tensor) -> Tensor:
        """The values `R(x)`, shape `(B,)`."""
        raise self._missing("value")

    def grad(self, x: Tensor) -> Tensor:
        """`∇R(x)`, by automatic differentiation of the value unless written by hand."""
        if "grad" not in self.capabilities:
            raise self._missing("grad")
        with torch.enable_grad():
            point = x if x.requires_grad else x.detach().requires_grad_()
            keep = x.requires_grad or any(p.requires_grad for p in self.parameters())
            (grad,) = torch.autograd.grad(self(point).sum(), point, create_graph=keep)
        return grad

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        """`argmin_u step·R(u) + ½‖u − x‖²`, shape of `x`."""
        raise self._missing("prox")

    def prox_with_error(self, x: Tensor, step: float | Tensor) -> tuple[Tensor, Tensor]:
        """`prox(x, step)` and a bound on its distance from the exact proximal map, `(B,)`, beyond rounding of `x`.

        0 where `prox_accuracy` is "exact", infinite where it is `None`.
        """
        if self.prox_accuracy == "certified":
            raise TypeError(f"{type(self).__name__} says prox_accuracy = 'certified' but writes no prox_with_error()")
        error = 0.0 if self.prox_accuracy == "exact" else torch.inf
        return self.prox(x, step), torch.full((len(x),), error, dtype=x.dtype.to_real(), device=x.device)

    def prox_lipschitz(self, step: float | Tensor) -> float | Tensor | None:
        """A Lipschitz constant of `prox(·, step)`, which certificates are made of; `None` where none is known.

        `1/(1 + step·m)` for convex functionals of modulus `m`; learned maps state their own, or none.
        """
        return 1.0 / (1.0 + step * self.strong_convexity) if self.convex else None

    def split(self) -> list[Term]:
        """The terms `g_i(K_i x)`; the functional itself where it has a proximal map."""
        if "prox" not in self.capabilities:
            raise self._missing("split")
        return [Term(self)]

    def conjugate(self, p: Tensor) -> Tensor | None:
        """`R*(p)`, shape `(B,)`, `inf` outside its domain; `None` where no formula is known."""
        return None

    def prox_conjugate(self, p: Tensor, step: float | Tensor) -> Tensor:
        """Proximal map of `step·R*`, by Moreau: `p − s·prox_{R/s}(p/s)`.

        Written as a multiple of a difference, which is exactly 0 where the inner map changes nothing.
        """
        s = per_sample(step, p)
        scaled = p / s
        return s * (scaled - self.prox(scaled, 1.0 / step))

    def smoothness_on(self, x: Tensor) -> float | None:
        """Lipschitz constant of `grad` on images like `x`; for those that depend on the dimension."""
        return self.smoothness

    def implausible(self, x: Tensor) -> Tensor | None:
        """Images that the model behind this functional would hardly make, `(B,)` bool; `None` without such a model.

        A solution that is one says that model and measurement contradict each other; its verdict tells.
        """
        return None

    def __mul__(self, weight: float | Tensor) -> Regularizer:
        return Weighted(self, weight)

    __rmul__ = __mul__

    def __add__(self, other: Regularizer) -> Regularizer:
        if not isinstance(other, Regularizer):
            raise InputError(
                f"a regularizer is added to regularizers, and a {type(other).__name__} is none; a weight multiplies: "
                f"0.1 * {type(self).__name__}(…)"
            )
        return Sum([*_terms_of(self), *_terms_of(other)])

    def __radd__(self, other: object) -> Regularizer:
        return self + other  # type: ignore[operator]  # what could be added has added itself: this says why not

    def _missing(self, capability: Capability) -> CapabilityMissing:
        have = ", ".join(sorted(self.capabilities)) or "nothing"
        return CapabilityMissing(f"{type(self).__name__} has no {capability}; it declares {have}")


class Zero(Regularizer):
    """No regularization, `R(x) = 0`."""

    source = "the zero functional"
    capabilities = frozenset({"value", "grad", "prox", "split"})
    convex = True
    smoothness = 0.0
    invariances = frozenset({"translation", "d4"})

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), dtype=x.dtype.to_real(), device=x.device)

    def grad(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return x

    def split(self) -> list[Term]:
        return []


class Weighted(Regularizer):
    """`w·R(x)`; `weight` is a nonnegative number, or a tensor that may be learned."""

    def __init__(self, regularizer: Regularizer, weight: float | Tensor) -> None:
        super().__init__()
        if not isinstance(weight, Tensor):
            check_factor(weight, "a regularizer")
        if isinstance(weight, Tensor) and weight.numel() != 1:
            raise InputError(
                f"a regularizer's weight is one number; a tensor of shape {tuple(weight.shape)} was given. For one "
                f"weight per image, weigh the fidelity: l2 takes a weight per measurement"
            )
        if not isinstance(weight, nn.Parameter) and not bool(weight >= 0):
            raise InputError(f"a regularizer's weight must be ≥ 0; got {float(weight)}")
        self.regularizer = regularizer
        if isinstance(weight, nn.Parameter):
            self.weight = weight
        elif isinstance(weight, Tensor):
            self.register_buffer("weight", weight)
        else:
            self.weight = float(weight)
        self.capabilities = regularizer.capabilities
        self.convex = regularizer.convex
        self.invariances = regularizer.invariances
        self.prox_accuracy = regularizer.prox_accuracy
        self.source = regularizer.source

    @property
    def strong_convexity(self) -> float:  # type: ignore[override]
        return self._number * self.regularizer.strong_convexity

    def smoothness_on(self, x: Tensor) -> float | None:
        inner = self.regularizer.smoothness_on(x)
        return None if inner is None else self._number * inner

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * self.regularizer(x)

    def grad(self, x: Tensor) -> Tensor:
        return per_sample(self.weight, x) * self.regularizer.grad(x)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return self.regularizer.prox(x, self.weight * step)

    def prox_with_error(self, x: Tensor, step: float | Tensor) -> tuple[Tensor, Tensor]:
        return self.regularizer.prox_with_error(x, self.weight * step)

    def prox_lipschitz(self, step: float | Tensor) -> float | Tensor | None:
        return self.regularizer.prox_lipschitz(self.weight * step)

    def implausible(self, x: Tensor) -> Tensor | None:
        return self.regularizer.implausible(x) if self._number > 0 else None

    def conjugate(self, p: Tensor) -> Tensor | None:
        """`w·R*(p/w)`; for weight 0 the indicator of 0."""
        weight = torch.as_tensor(self.weight, dtype=p.dtype.to_real(), device=p.device)
        positive = weight > 0
        value = self.regularizer.conjugate(p / per_sample(torch.where(positive, weight, 1.0), p))
        if value is None:
            return None
        of_zero = torch.where((p == 0).flatten(1).all(1), 0.0, torch.inf)
        return torch.where(positive, weight * value, of_zero.to(value.dtype))

    def prox_conjugate(self, p: Tensor, step: float | Tensor) -> Tensor:
        """`w·prox_{(s/w)·R*}(p/w)`, so that a projection stays one; 0 for weight 0."""
        if not isinstance(self.weight, Tensor):
            if self.weight == 0:
                return torch.zeros_like(p)
            return self.weight * self.regularizer.prox_conjugate(p / self.weight, step / self.weight)
        positive = self.weight > 0
        weight = torch.where(positive, self.weight, 1.0)
        column = per_sample(weight, p)
        inner = column * self.regularizer.prox_conjugate(p / column, step / weight)
        return torch.where(torch.as_tensor(per_sample(positive, p)), inner, 0.0)

    def split(self) -> list[Term]:
        return [Term(Weighted(t.functional, self.weight), t.analysis) for t in self.regularizer.split()]

    def extra_repr(self) -> str:
        return f"weight={self._number:g}"

    @property
    def _number(self) -> float:
        return float(self.weight.detach()) if isinstance(self.weight, Tensor) else self.weight


class Sum(Regularizer):
    """`Σ_i R_i(x)`. Its proximal map has no formula in general; primal-dual methods split it instead."""

    def __init__(self, terms: list[Regularizer]) -> None:
        super().__init__()
        if not terms:
            raise InputError("a sum of regularizers needs at least one term")
        self.terms = nn.ModuleList(terms)
        shared = frozenset.intersection(*(t.capabilities for t in terms))
        self.capabilities = shared if len(terms) == 1 else shared - {"prox"}
        self.convex = all(t.convex for t in terms)
        self.invariances = frozenset.intersection(*(t.invariances for t in terms))
        self.prox_accuracy = terms[0].prox_accuracy if len(terms) == 1 else None

    def __iter__(self) -> Iterator[Regularizer]:
        return iter(self.terms)  # type: ignore[arg-type]

    @property
    def strong_convexity(self) -> float:  # type: ignore[override]
        return sum(t.strong_convexity for t in self)

    def smoothness_on(self, x: Tensor) -> float | None:
        each = [t.smoothness_on(x) for t in self]
        return None if any(s is None for s in each) else sum(s for s in each if s is not None)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([t(x) for t in self]).sum(0)

    def grad(self, x: Tensor) -> Tensor:
        return torch.stack([t.grad(x) for t in self]).sum(0)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        if len(self.terms) > 1:
            raise self._missing("prox")
        return next(iter(self)).prox(x, step)

    def prox_with_error(self, x: Tensor, step: float | Tensor) -> tuple[Tensor, Tensor]:
        if len(self.terms) > 1:
            raise self._missing("prox")
        return next(iter(self)).prox_with_error(x, step)

    def prox_lipschitz(self, step: float | Tensor) -> float | Tensor | None:
        return next(iter(self)).prox_lipschitz(step) if len(self.terms) == 1 else super().prox_lipschitz(step)

    def implausible(self, x: Tensor) -> Tensor | None:
        said = [doubt for doubt in (t.implausible(x) for t in self) if doubt is not None]
        return torch.stack(said).any(0) if said else None

    def split(self) -> list[Term]:
        return [term for regularizer in self for term in regularizer.split()]


def _terms_of(regularizer: Regularizer) -> list[Regularizer]:
    return list(regularizer) if isinstance(regularizer, Sum) else [regularizer]
