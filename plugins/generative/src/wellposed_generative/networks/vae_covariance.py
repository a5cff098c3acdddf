"""A variational autoencoder whose decoder gives a mean image and a structured covariance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wellposed.errors import CompositionError, InputError, ShapeError
from wellposed.network import Network
from wellposed.seeding import seeded
from wellposed.space import Space

from ..gaussian.factor import Factor
from ..gaussian.gaussian import Gaussian
from .covariance import Covariance
from .sparse_cholesky import SparseCholesky


class VaeCovariance(Network):
    """`p(z) = N(0, I)`, `p(u|z) = N(μ(z), (L(z) L(z)ᵀ)⁻¹)`, `q(z|u) = N(m(u), diag s(u)²)`: images from a vector `z`.

    The encoder halves the image until a side is odd or 4, four times at most, with strided convolutions; two
    decoders mirror it, one for the mean and one for the covariance. As a network it maps an image to the mean of
    its reconstruction, `μ(m(u))`; in training mode it draws: `z ~ q(z|u)`, then `u ~ p(u|z)`.

    Args:
        shape: rows and columns of the images.
        latent: length of `z`.
        width: channels of the first hidden layer; 2 and 4 times as many in the deeper ones.
        channels: of the images; 2 for the real and imaginary part of complex ones.
        covariance: `sparse-cholesky` (the default, radius 2), `diagonal-covariance` or `identity-covariance`.
        mean: a model whose encoder and mean this one begins with, whatever its covariance is.
        seed: of the initial weights.

    Shapes: images `(B, channels, *shape)`, latent vectors `(B, latent)`. Raises `ShapeError` for images of another
    shape, `InputError` for sizes that make no network, `CompositionError` for a covariance of other channels.
    Source: Duff et al. 2023; Kingma and Welling 2014 (autoencoder); Dorta et al. 2018 (covariance).
    """

    source = "Duff et al. 2023, Phys. Med. Biol. 68:165017 (arXiv:2210.14586), section 2"

    def __init__(
        self,
        shape: tuple[int, int],
        latent: int = 32,
        width: int = 16,
        channels: int = 1,
        covariance: Covariance | None = None,
        mean: VaeCovariance | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(shape, latent, width, channels)
        self.covariance = SparseCholesky(channels=channels) if covariance is None else covariance
        if self.covariance.channels != channels:
            raise CompositionError(
                f"vae-covariance has images of {channels} channels and a {type(self.covariance).__name__} of "
                f"{self.covariance.channels}; give both the same"
            )
        self.domain = Space((channels, *shape))
        self.latent = latent
        sizes = _sizes(shape)
        widths = [width * min(2**level, 4) for level in range(len(sizes) - 1)]
        bottom = (widths[-1], *sizes[-1])
        with seeded(seed):
            self.encoder = _encoder(channels, widths, bottom, latent)
            self.mean_decoder = _decoder(latent, bottom, widths, channels)
            self.covariance_decoder = (
                _decoder(latent, bottom, widths, self.covariance.coefficients) if self.covariance.coefficients else None
            )
        if self.covariance_decoder is not None:
            _begin_near_identity(self.covariance_decoder, seed)
        if mean is not None:
            self._take_over(mean)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        small = {"shape": [16, 16], "latent": 3, "width": 4}
        two = {"use": "sparse-cholesky", "radius": 1, "channels": 2}
        return (
            small,
            {**small, "channels": 2, "covariance": two},
            {**small, "shape": [12, 8], "covariance": "diagonal-covariance"},
            {**small, "covariance": "identity-covariance", "mean": {"use": "vae-covariance", **small}},
        )

    def encode(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the standard deviation of `q(z|u)`, each `(B, latent)`."""
        self.domain.check(u, "vae-covariance", "images")
        mean, log_std = self.encoder(u).chunk(2, 1)
        return mean, log_std.clamp(-8.0, 4.0)

    def mean(self, z: Tensor) -> Tensor:
        """`μ(z)`, images `(B, *domain.shape)`."""
        self.check_latent(z)
        return self.mean_decoder(z)

    def factor(self, z: Tensor) -> Factor:
        """The Cholesky factor of the precision `Σ(z)⁻¹`."""
        self.check_latent(z)
        if self.covariance_decoder is None:
            return self.covariance.factor(z.new_zeros((len(z), 0, *self.domain.shape[1:])))
        return self.covariance.factor(self.covariance_decoder(z))

    def given(self, z: Tensor) -> Gaussian:
        """`p(u|z)`."""
        return Gaussian(self.mean(z), self.factor(z))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` images of the model: `z ~ N(0, I)`, `u ~ p(u|z)`."""
        like = next(self.parameters())
        z = torch.randn((count, self.latent), generator=generator, device=generator.device).to(like)
        return self.mean(z) + self.factor(z).sample(generator)

    def forward(self, u: Tensor) -> Tensor:
        z, log_std = self.encode(u)
        if not self.training:
            return self.mean(z)
        z = z + log_std.exp() * torch.randn_like(z)
        return self.mean(z) + self.factor(z).solve_transpose(torch.randn_like(u))

    def _take_over(self, other: VaeCovariance) -> None:
        """Copy encoder and mean; raises `CompositionError` where they are of other sizes."""
        try:
            self.encoder.load_state_dict(other.encoder.state_dict())
            self.mean_decoder.load_state_dict(other.mean_decoder.state_dict())
        except RuntimeError:
            raise CompositionError(
                "the 'mean' of vae-covariance is a model of other sizes; give it the same shape, latent, width and "
                "channels"
            ) from None

    def check_latent(self, z: Tensor) -> None:
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ShapeError(f"vae-covariance takes latent vectors (batch, {self.latent}); got {tuple(z.shape)}")


def _sizes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """The image's size at every level, the whole one first."""
    sizes = [shape]
    while len(sizes) < 5 and all(n % 2 == 0 and n > 4 for n in sizes[-1]):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def _encoder(channels: int, widths: list[int], bottom: tuple[int, int, int], latent: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = channels
    for width in widths:
        layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), _norm(width), nn.SiLU()]
        before = width
    flat = bottom[0] * bottom[1] * bottom[2]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 2 * latent))


def _decoder(latent: int, bottom: tuple[int, int, int], widths: list[int], channels: int) -> nn.Sequential:
    """A dense layer; at each level a convolution after doubling the size (nearest), at the last one before it.

    The last doubling is a pixel shuffle: at full size there is one layer less, which is half of the work.
    """
    flat = bottom[0] * bottom[1] * bottom[2]
    layers: list[nn.Module] = [nn.Linear(latent, flat), nn.Unflatten(1, bottom), nn.SiLU()]
    before = bottom[0]
    for width in widths[-2::-1]:
        width = max(width, 2 * widths[0])
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, width, 3, padding=1), _norm(width), nn.SiLU()]
        before = width
    return nn.Sequential(*layers, nn.Conv2d(before, 4 * channels, 3, padding=1), nn.PixelShuffle(2))


def _begin_near_identity(decoder: nn.Sequential, seed: int) -> None:
    """Let the last convolution give next to nothing, so that the covariance begins as a multiple of the identity."""
    last = decoder[-2]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.normal_(last.weight, std=1e-3, generator=torch.Generator().manual_seed(seed))
    nn.init.zeros_(last.bias)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(4 if width % 4 == 0 else 1, width)


def _check(shape: tuple[int, int], latent: int, width: int, channels: int) -> None:
    for name, value in (("latent", latent), ("width", width), ("channels", channels)):
        if value < 1:
            raise InputError(f"vae-covariance needs {name} ≥ 1; {value} was given")
    if len(shape) != 2 or any(n % 2 or n < 6 for n in shape):
        raise InputError(
            f"vae-covariance needs an even number of rows and columns, at least 6; {list(shape)} was given"
        )
