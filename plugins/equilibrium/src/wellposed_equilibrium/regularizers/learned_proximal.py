"""A network in the place of a proximal map."""

from __future__ import annotations

from torch import Tensor

from wellposed import InputError, Network, Regularizer


class LearnedProximal(Regularizer):
    """`prox(x, s) = N(x)`, images `(B, C, *spatial)`: a `network` N where a proximal map stood, whatever the step.

    It is the proximal map of nothing in general: it has no value and no gradient, it is not taken for convex,
    and it knows no step, so a weight on it would do nothing and is refused. What an iteration with it goes to
    is a fixed point. Where the network states a certified Lipschitz constant (attribute `lipschitz`, as that of
    `contractive-residual`), iterations certify from it how far that fixed point is; where not, they promise
    nothing. Any network that keeps the shape of its images will do, for instance `residual` around `unet`
    (DE-Prox), or a denoiser (plug and play).

    Raises `InputError` where the network changes the shape. Sources: Gilton, Ongie and Willett 2021,
    IEEE TCI 7:1123, section III (DE-Prox); Venkatakrishnan, Bouman and Wohlberg 2013 (plug and play).
    """

    source = "Gilton, Ongie & Willett 2021, Deep equilibrium architectures for inverse problems, section III (DE-Prox)"
    capabilities = frozenset({"prox"})

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        small = {"use": "contractive-residual", "layers": 2, "width": 4, "kernel": 3}
        return ({"network": small}, {"network": {**small, "in_channels": 2, "contraction": 0.9}})

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        image = self.network(x)
        if image.shape != x.shape:
            raise InputError(
                f"the network of learned-proximal must keep the shape of its images; {type(self.network).__name__} "
                f"made {tuple(image.shape)} of {tuple(x.shape)}"
            )
        return image

    def prox_lipschitz(self, step: float | Tensor) -> float | None:
        """The network's certified Lipschitz constant; `None` where it states none."""
        constant = getattr(self.network, "lipschitz", None)
        return float(constant) if isinstance(constant, float | int) else None

    def __mul__(self, weight: float | Tensor) -> Regularizer:
        raise InputError(
            "a learned proximal map knows no weight: how much it smooths is trained. Leave the weight out, or weigh "
            "the fidelity"
        )

    __rmul__ = __mul__
