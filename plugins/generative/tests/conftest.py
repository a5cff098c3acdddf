"""A small model that is not near the identity, for tests without training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from wellposed_generative.networks.covariance import Covariance
from wellposed_generative.networks.vae_covariance import VaeCovariance


@pytest.fixture
def model() -> Callable[..., VaeCovariance]:
    """`model(covariance=…, channels=…)`: a VAE of 16 × 16 images whose covariance varies from pixel to pixel."""

    def make(covariance: Covariance | None = None, channels: int = 1, latent: int = 3) -> VaeCovariance:
        made = VaeCovariance((16, 16), latent, 4, channels, covariance).double().eval()
        if made.covariance_decoder is not None:
            last = made.covariance_decoder[-2]
            with torch.no_grad():
                last.weight.mul_(30.0)  # type: ignore[union-attr, operator]
        return made

    return make
