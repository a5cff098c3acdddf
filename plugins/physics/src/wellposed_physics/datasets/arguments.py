"""Constructor arguments that several datasets share, checked once here."""

from __future__ import annotations

from wellposed.errors import InputError


def check_counts(owner: object, **given: tuple[int, int]) -> None:
    """Raise `InputError` for numbers below what they must be at least: `name=(value, least)`."""
    for name, (value, least) in given.items():
        if value < least:
            raise InputError(f"{type(owner).__name__} takes {name} ≥ {least}; {value} was given")
