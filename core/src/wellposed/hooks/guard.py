"""Guards around the hook implementations of plugins: what one does wrong is told, and changes nothing else."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pluggy

#: Told of the implementation's error; the plugin is out of use afterwards.
Tell = Callable[[Exception], None]
Check = Callable[[Any], Any]


class WrongResult(TypeError):
    """A hook returned what its specification does not allow."""


class TooLong(Exception):
    """A hook did not return in time."""


def guarded(
    function: Callable[..., Any], options: Mapping[str, Any], check: Check, patience: float | None, tell: Tell
) -> Callable[..., Any]:
    """`function` as pluggy may call it: whatever it raises goes to `tell`, its result through `check`.

    An implementation that fails gives `None`, which pluggy leaves out; a wrapper that fails leaves the result that
    it wrapped as it was. With `patience`, an implementation (not a wrapper) runs in a thread of its own, which is
    left alone after so many seconds. Raises `TypeError` for a wrapper that is no generator.
    """
    if options["wrapper"] or options["hookwrapper"]:
        if not inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__name__} is marked as a wrapper but does not yield")
        guard = _guarded_wrapper if options["wrapper"] else _guarded_old_wrapper
        return guard(function, check, tell)
    timed = function if patience is None else in_time(function, patience)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            value = timed(*arguments)
            return None if value is None else check(value)
        except Exception as error:
            tell(error)
            return None

    return call


def _guarded_wrapper(function: Callable[..., Generator], check: Check, tell: Tell) -> Callable[..., Any]:
    """Around a wrapper of pluggy 1.2 and later: it yields once and returns the result."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Generator[None, Any, Any]:
        try:
            wrapper = function(*arguments)
            next(wrapper)
        except Exception as error:
            tell(_no_yield(error))
            return (yield)
        inner = yield
        try:
            outer = _ended(wrapper, list(inner))
            return inner if outer is None else [check(value) for value in outer]
        except Exception as error:
            tell(error)
            return inner

    return call


def _guarded_old_wrapper(function: Callable[..., Generator], check: Check, tell: Tell) -> Callable[..., Any]:
    """Around a wrapper of the older kind: it yields once and is sent a `pluggy.Result`, which it may change."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Generator[None, pluggy.Result, None]:
        try:
            wrapper = function(*arguments)
            next(wrapper)
        except Exception as error:
            tell(_no_yield(error))
            yield
            return
        outcome = yield
        inner = list(outcome.get_result())
        try:
            _ended(wrapper, outcome)
            outcome.force_result([check(value) for value in outcome.get_result()])
        except Exception as error:
            outcome.force_result(inner)
            tell(error)

    return call


def _ended(wrapper: Generator, value: Any) -> Any:
    """Send the result to a wrapper and take what it returns."""
    try:
        wrapper.send(value)
    except StopIteration as stop:
        return stop.value
    wrapper.close()
    raise RuntimeError("the wrapper yielded twice")


def _no_yield(error: Exception) -> Exception:
    return RuntimeError("the wrapper did not yield") if isinstance(error, StopIteration) else error


def in_time(function: Callable[..., Any], patience: float) -> Callable[..., Any]:
    """`function` with `TooLong` where it does not return in `patience` seconds, and no way to end the process."""

    def call(*arguments: Any) -> Any:
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.append((function(*arguments), None))
            except BaseException as error:  # also an attempt to leave: nothing above this thread could catch it
                outcome.append((None, error))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(patience)
        if not outcome:
            raise TooLong(f"no result after {patience:g} s")
        value, error = outcome[0]
        if isinstance(error, Exception):
            raise error
        if error is not None:
            raise RuntimeError(f"it raised {type(error).__name__}: {error}") from error
        return value

    return call
