"""Coil sensitivity maps estimated from the fully sampled centre of multi-coil k-space."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError


def smooth_maps(kspace: Tensor, calibration: int = 24) -> Tensor:
    """Low-resolution coil images over their root sum of squares: `S_j = c_j / (Σ|c_i|²)^½`.

    `c_j` is the inverse transform of the central `calibration × calibration` samples under a Hann window,
    which keeps the truncation from ringing. The maps carry the phase of the low-resolution image, so that
    the combined image has little phase left. k-space `(B, coils, H, W)`, DC at `(H//2, W//2)`; maps of the
    same shape with `Σ|S_j|² = 1` everywhere. Source: McKenzie et al. 2002 (self-calibrating parallel
    imaging); Roemer et al. 1990, eq. 28.

    Raises `InputError` where the calibration region does not fit or holds nothing.
    """
    centre = _calibration(kspace, calibration)
    window = _hann(centre.shape[-2], centre)[:, None] * _hann(centre.shape[-1], centre)
    images = _to_image(_zero_pad(centre * window, kspace.shape[-2:]))
    return images / _root_sum_of_squares(images).clamp_min(torch.finfo(images.real.dtype).tiny)


def espirit(
    kspace: Tensor, calibration: int = 24, kernel: int = 6, threshold: float = 0.02, crop: float = 0.9
) -> Tensor:
    """ESPIRiT maps: at each pixel the eigenvector to eigenvalue 1 of the local signal-space projection.

    1. the calibration matrix has the `kernel × kernel × coils` patches of the central
       `calibration × calibration` samples as rows; its right singular vectors `v_r` with
       `σ_r > threshold · σ_1` span the signal space;
    2. at pixel `q`, `G(q) = kernel⁻² Σ_r ĝ_r(q) ĝ_r(q)*` with `ĝ_r` the transform of `v_r`, coils × coils;
    3. `S(q)` is its principal eigenvector, of unit length, its phase fixed against the principal coil
       combination of the data; 0 where the eigenvalue is below `crop` (no signal there).

    k-space `(B, coils, H, W)`, DC at `(H//2, W//2)`; maps of the same shape. Each sample is scaled by itself.
    Source: Uecker et al. 2014, Magn. Reson. Med. 71:990, eqs. 8-22.

    Raises `InputError` where the calibration region does not fit, holds nothing, or the kernel exceeds it.
    """
    centre = _calibration(kspace, calibration)
    if not 1 <= kernel <= min(centre.shape[-2:]):
        raise InputError(f"the ESPIRiT kernel must have 1 to {min(centre.shape[-2:])} samples; {kernel} was given")
    projection = _signal_projection(centre, kernel, threshold)
    local = _local_projection(projection, kernel, (kspace.shape[-2], kspace.shape[-1]))
    values, vectors = torch.linalg.eigh(local)
    maps = vectors[..., -1].permute(0, 3, 1, 2)
    maps = maps * _phase_reference(centre, maps)
    return torch.where(values[..., -1].unsqueeze(1) > crop, maps, 0)


def _signal_projection(centre: Tensor, kernel: int, threshold: float) -> Tensor:
    """Projection on the span of the calibration patches, `(B, coils, kernel², coils, kernel²)`."""
    batch, coils = centre.shape[:2]
    windows = centre.unfold(2, kernel, 1).unfold(3, kernel, 1)
    rows = windows.permute(0, 2, 3, 1, 4, 5).reshape(batch, -1, coils * kernel * kernel)
    # The eigenvectors of the small Gram matrix are the right singular vectors; the weak ones are cut anyway.
    # conj: rows hold xᵀ, and the signal space is spanned by the patches x themselves.
    values, vectors = torch.linalg.eigh(rows.mT @ rows.conj())
    signal = vectors * (values > threshold**2 * values[:, -1:]).unsqueeze(1)
    projection = signal @ signal.mH
    return projection.reshape(batch, coils, kernel * kernel, coils, kernel * kernel)


def _local_projection(projection: Tensor, kernel: int, size: tuple[int, int]) -> Tensor:
    """`G` at every pixel, `(B, H, W, coils, coils)`.

    A patch position that moves by one in k-space multiplies by a plane wave in the image, so the entry
    `(j, κ), (i, λ)` contributes with the wave of `κ − λ`: only the sums along such differences are needed,
    a `(2·kernel − 1)²` grid, and not the transforms of all singular vectors.
    """
    batch, coils = projection.shape[:2]
    k = torch.arange(kernel, device=projection.device)
    difference = k[:, None] - k + kernel - 1
    span = 2 * kernel - 1
    target = difference[:, None, :, None] * span + difference[None, :, None, :]  # (κ0, κ1, λ0, λ1)
    entries = projection.permute(0, 1, 3, 2, 4).reshape(batch, coils, coils, -1)
    sums = entries.new_zeros(batch, coils, coils, span * span)
    sums = sums.index_add(3, target.flatten(), entries).unflatten(3, (span, span))
    waves = _to_image(_zero_pad(sums, size)) * (size[0] * size[1]) ** 0.5 / kernel**2
    return waves.permute(0, 3, 4, 1, 2)


def _phase_reference(centre: Tensor, maps: Tensor) -> Tensor:
    """Unit numbers `(B, 1, H, W)` that make the principal coil combination of the maps positive."""
    flat = centre.flatten(2)
    principal = torch.linalg.eigh(flat @ flat.mH)[1][..., -1]
    # Eigenvectors come with any phase: make the largest entry positive.
    largest = principal.gather(1, principal.abs().argmax(1, keepdim=True))
    principal = principal * torch.sgn(largest.conj())
    combination = torch.einsum("bc,bchw->bhw", principal.conj(), maps)
    return torch.sgn(combination.conj()).unsqueeze(1)


def _calibration(kspace: Tensor, calibration: int) -> Tensor:
    """The central samples, each sample of the batch scaled to unit maximum."""
    if kspace.ndim != 4 or not kspace.is_complex():
        raise ShapeError(
            f"coil maps are estimated from complex k-space (batch, coils, height, width); "
            f"{tuple(kspace.shape)} {kspace.dtype} was given"
        )
    if calibration < 2:
        raise InputError(f"the calibration region needs at least 2 samples a side; {calibration} was given")
    centre = kspace
    for axis in (2, 3):
        width = min(calibration, kspace.shape[axis])
        centre = centre.narrow(axis, kspace.shape[axis] // 2 - width // 2, width)
    peak = centre.abs().amax((1, 2, 3), keepdim=True)
    if not bool((peak > 0).all()):
        raise InputError("the centre of this k-space is zero: no coil maps can be estimated from it")
    return centre / peak


def _zero_pad(centre: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """Zeros around, so that the entry at `n//2` comes to `N//2`; an excess over `size` wraps around."""
    for axis, whole in ((-2, size[0]), (-1, size[1])):
        part = centre.shape[axis]
        index = torch.arange(part, device=centre.device) + whole // 2 - part // 2
        shape = list(centre.shape)
        shape[axis] = whole
        centre = centre.new_zeros(shape).index_add(axis, index % whole, centre)
    return centre


def _to_image(kspace: Tensor) -> Tensor:
    shifted = torch.fft.ifftshift(kspace, dim=(-2, -1))
    return torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), dim=(-2, -1))


def _root_sum_of_squares(images: Tensor) -> Tensor:
    return torch.view_as_real(images).square().sum((1, -1)).sqrt().unsqueeze(1)


def _hann(n: int, like: Tensor) -> Tensor:
    """A Hann window that is 1 at `n//2` and does not reach 0 inside."""
    position = torch.arange(n, device=like.device, dtype=like.real.dtype) - n // 2
    return torch.cos(torch.pi * position / (n + 2)).square()
