"""What the package raises: every error is a sentence that says what to do.

`exit_code` is what the command line returns: 2 where the input is wrong, 1 where sound work failed.
"""

from __future__ import annotations

import re


class WellposedError(Exception):
    """Base of every error raised on purpose by this package and its plugins."""

    exit_code = 1


class InputError(WellposedError, ValueError):
    """Something the caller gave does not fit: a value, a shape, a file, a name."""

    exit_code = 2


class ShapeError(InputError):
    """A tensor does not lie in the space that an operator, fidelity or solver works on."""


class CompositionError(InputError):
    """Components were put together that cannot work together."""


class RecipeError(InputError):
    """A recipe names or configures something wrongly; `where` is the path inside the recipe."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class ComponentNotFound(InputError, LookupError):
    """No installed distribution registers a component of this kind and name."""


class AmbiguousComponent(InputError, LookupError):
    """Two distributions register the same name; it must be written `name@distribution`."""


class PluginError(WellposedError):
    """A plugin is installed but cannot be used: it is broken or made for another core."""


class SolveFailed(WellposedError):
    """A solver was asked to raise on failure, and some sample failed."""


class CapabilityMissing(WellposedError, NotImplementedError):
    """A component was asked for something that it declares not to have."""

    exit_code = 2


def memory_wanted(error: BaseException) -> str | None:
    """Whether an error is Python's or torch's way to say that memory ran out, and what it says of how much.

    A piece of a sentence, empty where it says nothing; `None` for other errors. Torch is not imported to find out.
    """
    text = " ".join(str(error).split())
    if isinstance(error, RuntimeError):
        found = _ASKED.search(text)
        if found is not None:
            return f": {int(found[1]) / 1e9:,.3g} GB were asked for at once"
        if _TOO_LARGE.search(text) is not None:
            return ": an array of more numbers than any memory holds was asked for"
    said = isinstance(error, RuntimeError) and _SAID.search(text) is not None
    if said or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f": {text[:200]}" if text else ""
    return None


_SAID = re.compile("not enough memory|can't allocate memory")
#: What torch says of an allocation that failed, and of a size that does not fit into its own numbers.
_ASKED = re.compile(r"can't allocate memory: you tried to allocate (\d+) bytes")
_TOO_LARGE = re.compile(r"Storage size calculation overflowed|numel: integer multiplication overflow")


def require(value: object, interface: type, what: str) -> None:
    """Raise `InputError` unless `value` is an instance of `interface`; a class given for its instance is told."""
    if isinstance(value, interface):
        return
    if isinstance(value, type) and issubclass(value, interface):
        raise InputError(f"{what} is the class {value.__name__}; it must be an instance: write {value.__name__}(…)")
    raise InputError(f"{what} must be an instance of {interface.__name__}; {_short(value)} was given")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
