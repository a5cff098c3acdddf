"""Plain values of recipes, checked against a constructor's type hints."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from ..errors import RecipeError
from .model import explain

_WHOLE, _SINGLE = 1 << 63, 3.4028234e38


def checked_value(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`; raises `RecipeError` at `where`.

    The check is pydantic's strict one on JSON data: a list becomes a tuple where one is asked for, an
    integer a float, but no text becomes a number and no truth value an integer.
    """
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        raise RecipeError(f"a {type(value).__name__} cannot stand here; write a number, text or list", where) from None
    _check_range(value, where)
    try:
        adapter = _adapter(hint)
    except PydanticSchemaGenerationError:
        raise RecipeError(f"this argument ({hint}) cannot be given in a recipe", where) from None
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise RecipeError(explain(error), where) from None


def _check_range(value: Any, where: str) -> None:
    """Refuse numbers that no tensor holds, at whatever depth: whole ones of more than 64 bits, others above 3e38."""
    if isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_range(inner, where)
    elif isinstance(value, int) and not -_WHOLE <= value < _WHOLE:
        raise RecipeError(f"{value} is too large; whole numbers have up to 64 bits with their sign", where)
    elif isinstance(value, float) and math.isfinite(value) and abs(value) > _SINGLE:
        raise RecipeError(f"{value:g} is too large; single precision holds numbers up to {_SINGLE:.3g}", where)


def _adapter(hint: Any) -> TypeAdapter:
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        # A dataclass configures itself (`__pydantic_config__`) and refuses another configuration.
        return TypeAdapter(hint)
