"""Plain values of recipes, checked against a constructor's type hints."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from ..errors import RecipeError
from .model import explain


def checked_value(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`; raises `RecipeError` at `where`.

    The check is pydantic's strict one on JSON data: a list becomes a tuple where one is asked for, an
    integer a float, but no text becomes a number and no truth value an integer.
    """
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        raise RecipeError(f"a {type(value).__name__} cannot stand here; write a number, text or list", where) from None
    try:
        adapter = _adapter(hint)
    except PydanticSchemaGenerationError:
        raise RecipeError(f"this argument ({hint}) cannot be given in a recipe", where) from None
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise RecipeError(explain(error), where) from None


def _adapter(hint: Any) -> TypeAdapter:
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        # A dataclass configures itself (`__pydantic_config__`) and refuses another configuration.
        return TypeAdapter(hint)
