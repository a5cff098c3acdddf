"""The processes that share the samples of one run, as `torchrun` and `accelerate launch` start them."""

from __future__ import annotations

import os
import time
import warnings
from datetime import timedelta
from types import TracebackType
from typing import Any

from ..errors import WellposedError

#: How long the processes wait for each other to come up, and for the slowest share of the work.
_START, _WORK = timedelta(minutes=2), timedelta(days=30)
_POLL = 0.02


class Processes:
    """This process among those that were started together; a context manager. One that was started alone is all.

    They pass words alone, no tensors: over gloo, on every device. Where one of them ends early the others raise
    `WellposedError` when they wait for it, and do not hang.
    """

    def __init__(self) -> None:
        self.rank, self.count = place_among()
        self._group: Any = None
        self._owned = False

    def __enter__(self) -> Processes:
        if self.count > 1:
            import torch.distributed as dist

            self._owned = not dist.is_initialized()
            try:
                if self._owned:
                    dist.init_process_group("gloo", timeout=_START)
                self._group = dist.new_group(backend="gloo", timeout=_WORK)
            except RuntimeError as error:
                raise _alone(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned:
            import torch.distributed as dist

            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this process writes the run and prints."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Which of `count` samples are this process's."""
        return range(self.rank, count, self.count)

    def wait(self) -> None:
        """Until all processes are here."""
        if self._group is not None:
            import torch.distributed as dist

            self._finish(lambda: dist.barrier(self._group, async_op=True))

    def told(self, text: str = "") -> str:
        """The leading process's text, in all of them."""
        if self._group is None:
            return text
        import torch
        import torch.distributed as dist

        length = torch.tensor([len(text.encode())])
        self._finish(lambda: dist.broadcast(length, 0, self._group, async_op=True))
        said = torch.zeros(int(length), dtype=torch.uint8)
        if self.leads:
            said[:] = torch.tensor(list(text.encode()), dtype=torch.uint8)
        self._finish(lambda: dist.broadcast(said, 0, self._group, async_op=True))
        return bytes(said.tolist()).decode()

    def _finish(self, start: Any) -> None:
        """Look again and again, so that an interruption is heeded while waiting."""
        try:
            work = start()
            while not work.is_completed():
                time.sleep(_POLL)
            work.wait()
        except RuntimeError as error:
            raise _alone(error) from error


def place_among() -> tuple[int, int]:
    """This process's number and how many there are; a GPU of its own becomes its device `cuda`.

    Warns where several were asked for in a way that starts one.
    """
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    # `accelerate launch --cpu` with several processes names a meeting point, but leaves starting them to MPI.
    if count == 1 and "ACCELERATE_USE_CPU" in os.environ and "MASTER_ADDR" in os.environ and "RANK" not in os.environ:
        warnings.warn(
            "accelerate launch --cpu has started one process, whatever --num_processes says; several are started by "
            "`torchrun --nproc-per-node N -m wellposed …`, on CPUs as on GPUs",
            stacklevel=2,
        )
    if count > 1 and "LOCAL_RANK" in os.environ:
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return rank, count


def _alone(error: Exception) -> WellposedError:
    reason = " ".join(str(error).split())
    return WellposedError(f"another process of this run ended early; what it says tells why ({reason[:200]})")
