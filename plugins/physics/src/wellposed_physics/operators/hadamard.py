"""The fast Walsh-Hadamard transform."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import ShapeError

#: The transform is done in factors of this size: few passes over the data, each a small matrix product.
_RADIX_BITS = 5


def walsh_hadamard(x: Tensor) -> Tensor:
    """Orthonormal Walsh-Hadamard transform of the last axis, natural (Sylvester) order; its own inverse.

    `H_{2n} = [[H_n, H_n], [H_n, −H_n]] / √2`, `O(n log n)`. Raises `ShapeError` unless the length is a power
    of 2. Source: Fino and Algazi 1976, Unified matrix treatment of the fast Walsh-Hadamard transform.
    """
    length = x.shape[-1]
    bits = length.bit_length() - 1
    if length != 1 << bits:
        raise ShapeError(f"the Walsh-Hadamard transform needs a length that is a power of 2; {length} was given")
    result, right = x.reshape(-1, length), 1
    while bits:
        radix = min(bits, _RADIX_BITS)
        factor = sylvester(radix, x)
        result = (
            factor @ result.reshape(-1, 1 << radix, right) if right > 1 else result.reshape(-1, 1 << radix) @ factor
        )
        right <<= radix
        bits -= radix
    return result.reshape(x.shape)


def sylvester(bits: int, like: Tensor) -> Tensor:
    """The orthonormal Hadamard matrix of order `2^bits`."""
    pair = like.new_tensor([[1.0, 1.0], [1.0, -1.0]]) * 0.5**0.5
    matrix = like.new_ones(1, 1)
    for _ in range(bits):
        matrix = torch.kron(matrix, pair)
    return matrix
