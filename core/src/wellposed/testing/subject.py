"""What a check looks at: a component class and one set of constructor arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import PluginError, RecipeError
from ..recipes.builder import construct
from .promise import NotPromised


@dataclass(frozen=True)
class Subject:
    """A class of `kind` and the arguments of one of its examples; `name` is what it is registered as, if it is."""

    kind: str
    cls: type
    arguments: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None

    @classmethod
    def first(cls, kind: str, component: type) -> Subject:
        """The first example of a class that need not be registered."""
        return cls(kind, component, next(iter(component.examples()), {}))

    def build(self, dtype: torch.dtype = torch.float64) -> Any:
        """A new instance in precision `dtype`; learned parts start from the same seed each time.

        Raises `NotPromised` where the example cannot be built: that is told once, by `builds-from-recipe`.
        """
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                component = construct(self.cls, self.arguments, self.label)
        except (RecipeError, PluginError) as error:
            raise NotPromised(f"its example cannot be built: {error}") from error
        return component.to(dtype) if isinstance(component, nn.Module) else component

    @property
    def label(self) -> str:
        return self.name or self.cls.__name__

    def __str__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{self.label}({arguments})"
