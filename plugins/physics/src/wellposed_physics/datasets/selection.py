"""Some of the samples of a dataset."""

from __future__ import annotations

from collections.abc import Mapping

from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError


class Selection(Dataset):
    """Every `step`-th sample of `data` from `first` on, at most `count` of them.

    So that one collection is shared between training and test: `{first: 0, count: 20}` and `{first: 20}`.
    Raises `InputError` where that selects no sample, or fewer than `count`.
    """

    source = "the samples are those of another dataset"

    def __init__(self, data: Dataset, first: int = 0, count: int | None = None, step: int = 1) -> None:
        if first < 0 or step < 1 or (count is not None and count < 1):
            raise InputError(
                f"selection needs first ≥ 0, step ≥ 1 and count ≥ 1; got first {first}, step {step}, count {count}"
            )
        self.data = data
        self._indices = range(first, len(data), step)
        if count is not None:
            if len(self._indices) < count:
                raise InputError(
                    f"from sample {first} on in steps of {step} there are {len(self._indices)} of the {len(data)} "
                    f"samples; {count} were asked for"
                )
            self._indices = self._indices[:count]
        if len(self._indices) == 0:
            raise InputError(f"the dataset holds {len(data)} samples; none is left from sample {first} on")

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"data": {"use": "ellipses", "size": 16, "length": 6}, "first": 1, "count": 2, "step": 2},)

    def estimated(self) -> Mapping[str, float]:
        return {f"data.{name}": value for name, value in self.data.estimated().items()}

    def __len__(self) -> int:
        return len(self._indices)

    def origin(self, index: int) -> int:
        return self.data.origin(self._indices[self.check_index(index)])

    def __getitem__(self, index: int) -> Sample:
        return self.data[self._indices[self.check_index(index)]]
