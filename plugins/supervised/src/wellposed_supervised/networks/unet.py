"""The U-Net."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from wellposed.errors import InputError
from wellposed.network import Network
from wellposed.seeding import seeded


class UNet(Network):
    """An encoder and a decoder joined by skips at every scale: `(B, in_channels, H, W) → (B, out_channels, H, W)`.

    `scales` times: two convolutions, then half the size and twice the channels; and back up by transposed
    convolutions, each level joined to that of the encoder. A convolution is 3×3, normalised in groups of
    channels (which, unlike batch normalisation, treats every image alone) and followed by ReLU. Sizes that
    are no multiple of `2^scales` are extended at their edges and cut back.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels at the finest scale; `groups` divides it.
        scales: how many times the size is halved.
        groups: groups of channels that are normalised together.
        seed: of the initial weights.

    To learn a correction of the input, put it into `residual`. Raises `InputError` for sizes that make no
    network, and for inputs that are not real images of `in_channels`.
    """

    source = (
        "Ronneberger, Fischer & Brox 2015, arXiv:1505.04597; Jin et al. 2017, IEEE TIP 26:4509 (tomography); "
        "Wu & He 2018, arXiv:1803.08494 (normalisation)"
    )

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        scales: int = 4,
        groups: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            if value < 1:
                raise InputError(f"unet needs {name} ≥ 1; {value} was given")
        if scales < 0 or width < 1 or width % groups:
            raise InputError(
                f"unet needs scales ≥ 0 and a width that groups divides; got scales {scales}, width {width}, "
                f"groups {groups}"
            )
        self.in_channels, self.out_channels, self.scales = in_channels, out_channels, scales
        widths = [width * 2**level for level in range(scales + 1)]
        with seeded(seed):
            inputs = [in_channels, *widths[:-1]]
            self.down = nn.ModuleList(_block(i, o, groups) for i, o in zip(inputs, widths, strict=True))
            finer = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
            self.up = nn.ModuleList(nn.ConvTranspose2d(wide, narrow, 2, stride=2) for wide, narrow in finer)
            self.join = nn.ModuleList(_block(2 * narrow, narrow, groups) for _, narrow in finer)
            self.last = nn.Conv2d(width, out_channels, 1)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"width": 8, "scales": 2, "groups": 2},
            {"in_channels": 2, "out_channels": 3, "width": 4, "scales": 1, "groups": 4},
        )

    def forward(self, x: Tensor) -> Tensor:
        """The network's image of `x`."""
        self._check(x)
        rows, columns = x.shape[2:]
        z = _extended(x, 2**self.scales)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            z = block(z if level == 0 else functional.max_pool2d(z, 2))
            skips.append(z)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            z = join(torch.cat([skip, up(z)], 1))
        return self.last(z)[:, :, :rows, :columns]

    def _check(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels or x.is_complex():
            raise InputError(
                f"this unet takes real images (batch, {self.in_channels}, rows, columns); got {x.dtype} of shape "
                f"{tuple(x.shape)}"
            )


def _block(inputs: int, outputs: int, groups: int) -> nn.Sequential:
    """Twice: convolution, group normalisation, ReLU; He's initial weights. No bias where a shift follows."""
    net = nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.GroupNorm(groups, outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.GroupNorm(groups, outputs),
        nn.ReLU(inplace=True),
    )
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return net


def _extended(x: Tensor, multiple: int) -> Tensor:
    """`x` with its last row and column repeated up to the next multiple."""
    rows, columns = (math.ceil(n / multiple) * multiple - n for n in x.shape[2:])
    return functional.pad(x, (0, columns, 0, rows), mode="replicate") if rows or columns else x
