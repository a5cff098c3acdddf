"""How much memory a file may take: what its headers promise is compared before anything is unpacked.

A few megabytes can unpack to many gigabytes. Nobody who measured is kept out: where the caller says which shape is
expected, an array of that shape is read whatever its size.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InputError

_TIMES, _SPARE = 4, 500_000_000
#: No deflated byte becomes more than this many.
MOST_INFLATED = 1032
_LARGEST_NUMBER = 16  # bytes of a complex number in double precision
_STEP = 1 << 20


def limit_of(path: Path, expected: tuple[int, ...] | None = None) -> int:
    """How many bytes an array from the file may take: four times the file and 500 MB, or what `expected` takes."""
    own = _TIMES * path.stat().st_size + _SPARE
    return own if expected is None else max(own, math.prod(expected) * _LARGEST_NUMBER)


def check_size(path: Path, shape: Iterable[int], itemsize: int, limit: int, key: str | None = None) -> None:
    """Raise `InputError` where an array of this shape takes more than `limit` bytes."""
    shape = tuple(int(n) for n in shape)
    if math.prod(shape) * itemsize > limit:
        size, whole = " × ".join(map(str, shape)), math.prod(shape) * itemsize
        raise InputError(
            f"{path}{f', {key},' if key else ''} says that it holds {size} numbers, {in_words(whole)} "
            f"from {in_words(path.stat().st_size)}; more than {in_words(limit)} is not unpacked. "
            f"Where that is right, unpack the file first, or save the part that is needed as .npy"
        )


def check_unpacked(path: Path, sizes: Iterable[int], limit: int) -> None:
    """Raise `InputError` where the pieces that a stream unpacks to (`inflated`) are more than half of `limit`.

    Half, for readers unpack into a copy.
    """
    count = 0
    for size in sizes:
        count += size
        if count > limit // 2:
            raise InputError(
                f"{path} unpacks to more than {in_words(limit // 2)} from {in_words(path.stat().st_size)}, far beyond "
                f"what it says to hold; it is damaged or made to exhaust the memory, and is not read"
            )


def inflated(blocks: Iterable[bytes], wbits: int = zlib.MAX_WBITS) -> Iterator[int]:
    """Lengths of the pieces that a deflated stream unpacks to; none of them is kept."""
    engine = zlib.decompressobj(wbits)
    for block in blocks:
        while block:
            yield len(engine.decompress(block, _STEP))
            block = engine.unconsumed_tail


def may_exceed(compressed: int, limit: int) -> bool:
    """Whether so many deflated bytes can unpack to more than half of `limit` at all."""
    return compressed * MOST_INFLATED > limit // 2


def in_words(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB" if size < 1000 else f"{size:,.0f} GB" if size < 1e6 else f"{size:.1e} GB"
