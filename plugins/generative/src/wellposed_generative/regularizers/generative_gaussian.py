"""How far an image is from what a generative model with a Gaussian decoder makes."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.regularizer import Regularizer

from ..gaussian.gaussian import Gaussian
from ..images import as_channels, from_channels
from ..latent import minimise
from ..networks.vae_covariance import VaeCovariance

#: Standard deviations of the model, root mean square over an image, beyond which the image is far from its range.
_FAR = 3.0


class GenerativeGaussian(Regularizer):
    """`R(u) = min_z ½‖L(z)ᵀ(u − μ(z))‖² − Σ l(z) + ω/2 ‖z‖²`: minus the log-density of the likeliest `z`, and `u`.

    With `identity-covariance` this is the soft distance to the range of the generator, with a structured one
    deviations count less where the model expects them, and in the patterns that it expects.

    Value and gradient (`L Lᵀ(u − μ)` at the minimising `z`, by the envelope theorem) search `z` by BFGS from the
    encoder's guess: a local minimum. They are exact for it, but cost dozens of passes through the decoder; the
    iteration `variable-projection` moves `u` and `z` together instead, from several starts. Differentiated by the
    image, the gradient knows how `z` follows it (implicit function theorem); the value is differentiated once. The
    model's parameters get the gradient for a fixed `z`.

    An image whose deviations from `μ(z)` are on average more than 3 of the model's standard deviations (`½‖Lᵀ(u − μ)‖²`
    above 4.5 nats a pixel, where 0.5 is expected) is far from the range; a run that ends there gets the verdict
    `IMPLAUSIBLE`.

    Args:
        model: the `vae-covariance`, trained.
        latent_weight: ω; 1 is the model's own.
        search: limit of BFGS steps in `z`.

    Images `(B, *model.domain.shape)`; for a model of an even number of channels also complex ones, real parts first.
    Raises `ShapeError` for others and `InputError` for a negative weight.
    """

    source = "Duff et al. 2023, Phys. Med. Biol. 68:165017 (arXiv:2210.14586), section 2 (structured covariance)"
    capabilities = frozenset({"value", "grad"})

    def __init__(self, model: VaeCovariance, latent_weight: float = 1.0, search: int = 200) -> None:
        super().__init__()
        if not latent_weight >= 0:
            raise InputError(f"generative-gaussian needs latent_weight ≥ 0; {latent_weight} was given")
        if search < 0:
            raise InputError(f"generative-gaussian needs search ≥ 0; {search} was given")
        self.model, self.latent_weight, self.search = model, latent_weight, search

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        small = {"use": "vae-covariance", "shape": [16, 16], "latent": 2, "width": 4}
        two = {"use": "sparse-cholesky", "radius": 1, "channels": 2}
        return (
            {"model": small},
            {"model": {**small, "covariance": "identity-covariance"}, "latent_weight": 0.5},
            {"model": {**small, "channels": 2, "covariance": two}},
        )

    def joint(self, u: Tensor, z: Tensor) -> Tensor:
        """`½‖L(z)ᵀ(u − μ(z))‖² − Σ l(z) + ω/2 ‖z‖²`, shape `(B,)`; `u` with real channels."""
        return self.beside(self.model.given(z), u, z)

    def beside(self, gaussian: Gaussian, u: Tensor, z: Tensor) -> Tensor:
        """`joint(u, z)` where the model's `gaussian` at `z` is there already."""
        return gaussian.energy(u) + 0.5 * self.latent_weight * z.square().sum(1)

    def latent(self, u: Tensor) -> Tensor:
        """The minimising `z` that is found from the encoder's guess, without a graph; `u` with real channels."""
        u = u.detach()
        start = self.model.encode(u)[0].detach()
        return minimise(lambda z: self.joint(u, z), start, self.search)

    def channels(self, x: Tensor) -> Tensor:
        """The image with the real channels of the model; raises `ShapeError` where they are not its channels."""
        u = as_channels(x)
        if u.shape[1:] != self.model.domain.shape:
            complex_ = "complex " if x.is_complex() else ""
            raise ShapeError(
                f"this generative-gaussian is of images {self.model.domain.shape} (real and imaginary part count as "
                f"two channels); {complex_}images {tuple(x.shape[1:])} were given"
            )
        return u

    def forward(self, x: Tensor) -> Tensor:
        u = self.channels(x)
        return self.joint(u, self.latent(u))

    def grad(self, x: Tensor) -> Tensor:
        u = self.channels(x)
        z = self.latent(u)
        if torch.is_grad_enabled() and u.requires_grad:
            z = self._following(u, z)
        return from_channels(self.model.given(z).slope(u), x)

    def implausible(self, x: Tensor) -> Tensor:
        """Where the mean square of `L(z)ᵀ(u − μ(z))`, whose expectation is 1 under the model, is above 9."""
        u = self.channels(x)
        gaussian = self.model.given(self.latent(u))
        return gaussian.factor.transpose(u - gaussian.mean).square().flatten(1).mean(1) > _FAR**2

    def _following(self, u: Tensor, z: Tensor) -> Tensor:
        """`z` with its derivative by the image: that of a Newton step from it, `−(∂²_z J)⁻¹ ∂_u ∂_z J`."""
        point = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.joint(u, point).sum(), point, create_graph=True)
        rows = [torch.autograd.grad(part.sum(), point, retain_graph=True)[0] for part in slope.unbind(1)]
        step = torch.einsum("nij,nj->ni", torch.linalg.pinv(torch.stack(rows, 1), hermitian=True), slope)
        return z - (step - step.detach())
