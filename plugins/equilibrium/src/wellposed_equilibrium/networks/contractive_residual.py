"""A residual network that cannot expand: gradient steps on learned convex potentials."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from wellposed import InputError, Network
from wellposed.precision import exact

from .convolution_norm import squared_norm_bound

#: Initial size of the filters. Divided by their norm they do not depend on it, but it sets how fast they learn.
_INITIAL = 0.1


class ContractiveResidual(Network):
    """`x ↦ c·(L_K ∘ … ∘ L_1)(x)`, each layer `L(x) = x − ω/‖W‖² · Wᵀ clip(W x, −τ, τ)`.

    `W` are convolutions with `width` filters of mean zero, `0 < ω < 2` a learned strength and `τ > 0` a
    learned threshold of each filter. A layer is a step of gradient descent on a convex potential, a sum of
    Huber functions of filter responses, and `‖W‖` is certified from above. What holds, for images of every
    size and any weights: each layer, and so the whole with `contraction` c = 1, is averaged
    (nonexpansive; iterated it converges if it has a fixed point), and with c < 1 the whole is a contraction
    with factor `lipschitz` = c. Rounding aside, this is a theorem and no estimate; so under autocast it works in
    full precision, in which alone its fixed points are found.

    Args:
        layers: number of layers K.
        width: filters per layer.
        kernel: side of the filters in pixels, at least 2. Only whole windows are filtered: nothing is assumed
            beyond the border.
        in_channels: channels of the images.
        contraction: the factor c in (0, 1].
        threshold: initial value of τ, in units of the image.
        seed: of the initial weights.

    Real images `(B, in_channels, H, W)` to the same, `H, W ≥ kernel`. Raises `InputError` for other images and
    for settings out of range. Sources: Meunier et al. 2022, ICML, eq. (8) (the layer); Goujon et al. 2023,
    IEEE TCI 9:697 (filters and potentials of images).
    """

    source = "Meunier, Delattre, Araujo & Allauzen 2022, A dynamical system perspective for Lipschitz networks, eq. (8)"

    def __init__(
        self,
        layers: int = 6,
        width: int = 32,
        kernel: int = 5,
        in_channels: int = 1,
        contraction: float = 0.999,
        threshold: float = 0.001,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("layers", layers, 1),
            ("width", width, 1),
            ("kernel", kernel, 2),
            ("in_channels", in_channels, 1),
        ):
            if value < least:
                raise InputError(f"contractive-residual needs {name} ≥ {least}; {value} was given")
        if not 0 < contraction <= 1:
            raise InputError(f"contractive-residual contracts by a factor in (0, 1]; {contraction} was given")
        if not threshold > 0:
            raise InputError(f"contractive-residual needs a threshold > 0; {threshold} was given")
        self.in_channels, self.contraction = in_channels, contraction
        generator = torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList(
            PotentialStep(_INITIAL * torch.randn(width, in_channels, kernel, kernel, generator=generator), threshold)
            for _ in range(layers)
        )

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"layers": 2, "width": 4, "kernel": 3},
            {"layers": 1, "width": 3, "kernel": 2, "in_channels": 2, "contraction": 1.0},
        )

    @property
    def lipschitz(self) -> float:
        """The certified Lipschitz constant."""
        return self.contraction

    @exact
    def forward(self, x: Tensor) -> Tensor:
        """The network's image of `x`."""
        self._check(x)
        for layer in self.layers:
            x = layer(x)
        return x if self.contraction == 1 else self.contraction * x

    def _check(self, x: Tensor) -> None:
        kernel = self.layers[0].filters.shape[-1]  # type: ignore[union-attr]
        if x.ndim != 4 or x.shape[1] != self.in_channels or x.is_complex() or min(x.shape[2:]) < kernel:
            raise InputError(
                f"this contractive-residual takes real images (batch, {self.in_channels}, rows, columns) of at least "
                f"{kernel} × {kernel} pixels; got {x.dtype} of shape {tuple(x.shape)}"
            )


class PotentialStep(nn.Module):
    """`x − ω/‖W‖² · Wᵀ clip(W x, −τ, τ)` with `filters` `(F, C, k, k)` made of mean zero."""

    def __init__(self, filters: Tensor, threshold: float) -> None:
        super().__init__()
        self.filters = nn.Parameter(filters)
        self.log_threshold = nn.Parameter(torch.full((len(filters),), threshold).log())
        self.strength = nn.Parameter(torch.zeros(()))
        self._kept: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        w = self._unit_filters()
        limit = self.log_threshold.exp()[:, None, None]
        clipped = torch.clamp(functional.conv2d(x, w), -limit, limit)
        # The adjoint as one matrix product: a transposed convolution to one channel takes twice the time on CPUs.
        patches = w.flatten(1).mT @ clipped.flatten(2)
        back = functional.fold(patches, x.shape[2:], w.shape[2:])
        return x - 2 * torch.sigmoid(self.strength) * back

    def _unit_filters(self) -> Tensor:
        """`W/‖W‖`, which a fixed point asks for at every step; without a tape it is kept until the filters change.

        Not on a GPU, which would be waited for to say whether they have.
        """
        filters = self.filters
        kept = filters.device.type == "cpu" and isinstance(filters, nn.Parameter)  # and none that torch.func put there
        if torch.is_grad_enabled() or not kept:
            return _unit(filters)
        if self._kept is None or not _same(self._kept[0], filters):
            with torch.inference_mode(False), torch.no_grad():
                self._kept = filters.clone(), _unit(filters)
        return self._kept[1]


def _unit(filters: Tensor) -> Tensor:
    w = filters - filters.mean(dim=(1, 2, 3), keepdim=True)
    return w * squared_norm_bound(w).rsqrt()


def _same(a: Tensor, b: Tensor) -> bool:
    """By value: not every change of a parameter counts up its version."""
    return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)
