"""Which samples a training learns from, and which are kept out to measure it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..dataset import Dataset
from ..errors import InputError


def split(data: Dataset, kept_out: int) -> tuple[Sequence[int], Sequence[int]]:
    """The indices to learn from, and the `kept_out` last ones of the last images.

    Other samples of an image that is kept out (another cut, another turn) are not learned from either, so that
    fewer may be left than `len(data) − kept_out`. Raises `InputError` where that leaves none.
    """
    count = len(data)
    if not 0 < kept_out < count:  # `Pace.order` refuses what makes no training
        return range(count - kept_out), range(count - kept_out, count)
    origins = [data.origin(index) for index in range(count)]
    sizes, held, total = Counter(origins), set[int](), 0
    for origin in reversed(origins):
        if total >= kept_out:
            break
        if origin not in held:
            held.add(origin)
            total += sizes[origin]
    training = [index for index in range(count) if origins[index] not in held]
    if not training:
        raise InputError(
            f"the dataset holds {count} samples of {len(sizes)} images, and {kept_out} samples are kept for "
            f"validation; no image is left to train on. Take more images, or fewer samples for validation"
        )
    return training, [index for index in range(count) if origins[index] in held][-kept_out:]
