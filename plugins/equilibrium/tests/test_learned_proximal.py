"""What a network in the place of a proximal map may claim, and what it may not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import InputError, Network
from wellposed_equilibrium.networks.contractive_residual import ContractiveResidual
from wellposed_equilibrium.regularizers.learned_proximal import LearnedProximal


class Tripling(Network):
    """`x ↦ 3x`, without a word on its Lipschitz constant."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * x


class Cropping(Network):
    """Loses a row."""

    def forward(self, x: Tensor) -> Tensor:
        return x[..., 1:, :]


def test_the_map_is_the_network_whatever_the_step() -> None:
    network = ContractiveResidual(1, 2, 3)
    regularizer, x = LearnedProximal(network), torch.rand(2, 1, 6, 6)
    for step in (0.1, torch.tensor([1.0, 2.0])):
        assert torch.equal(regularizer.prox(x, step), network(x))


def test_only_a_certified_constant_is_passed_on() -> None:
    assert LearnedProximal(ContractiveResidual(1, 2, 3, contraction=0.9)).prox_lipschitz(1.0) == 0.9
    assert LearnedProximal(Tripling()).prox_lipschitz(1.0) is None
    assert not LearnedProximal(ContractiveResidual(1, 2, 3)).convex


def test_a_weight_is_refused_because_it_would_do_nothing() -> None:
    with pytest.raises(InputError, match="knows no weight"):
        _ = 0.1 * LearnedProximal(Tripling())


def test_a_network_that_changes_the_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"Cropping made \(1, 1, 3, 4\) of \(1, 1, 4, 4\)"):
        LearnedProximal(Cropping()).prox(torch.rand(1, 1, 4, 4), 1.0)
