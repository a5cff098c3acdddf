"""Interruptions of a training, held back until a step is done so that a checkpoint can be written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While the block runs, the first SIGINT or SIGTERM is only noted, in `number`, and `told` is called.

    The second one acts at once, as it would have without the block. Among `several` processes the launcher repeats
    signals, so there all of them are held back. Signals that are ignored stay so; outside of the main thread, which
    alone may handle signals, nothing is held back.
    """

    def __init__(self, told: Callable[[], None], several: bool = False) -> None:
        self.number: int | None = None
        self._told, self._several = told, several
        self._previous: dict[int, Callable[[int, FrameType | None], object] | int] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if before is not None and before is not signal.SIG_IGN:
                    self._previous[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def act(self, number: int | None = None) -> None:
        """Let the signal do what it would have done: as a rule, raise `KeyboardInterrupt` or `SystemExit`."""
        self._restore()
        signal.raise_signal(number or self.number or signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        first = self.number is None
        self.number = number
        if not self._several:
            self._restore()
        if first:
            self._told()

    def _restore(self) -> None:
        for number, before in self._previous.items():
            signal.signal(number, before)
        self._previous = {}
