"""A rich console whose texts cannot steer the terminal; imported where something is printed through rich."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment

from ..plain_text import visible


class VisibleConsole(Console):
    """Control characters of whatever is printed are spelt out; rich's own commands, which are marked, pass."""

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
