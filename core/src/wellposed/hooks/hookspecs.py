"""The hooks that a plugin may implement. This module, and every hooks module of a plugin, imports no torch.

A plugin names a module in its pyproject, `[project.entry-points."wellposed.hooks"] mine = "my_plugin.hooks"`,
and marks functions of these names in it with `wellposed.hooks.hookimpl`. An implementation takes whichever
of the arguments it needs, so that arguments can be added here without breaking it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from .guard import WrongResult

if TYPE_CHECKING:
    import typer

    from ..experiment import Results
    from ..stopping import Progress

PROJECT = "wellposed"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def on_iteration(solver: str, sample: str, progress: Progress) -> None:
    """An iteration of the solver labelled `solver` on `sample` is done; `progress.count` is its number."""


@hookspec
def on_train_step(step: int, steps: int, metrics: Mapping[str, float]) -> None:
    """Training step `step` of `steps` is done, with what was measured in it."""


@hookspec
def on_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
    """The training data were seen once more, with what was measured on the validation data."""


@hookspec
def on_checkpoint(path: Path, step: int) -> None:
    """A checkpoint was written after training step `step`."""


@hookspec
def on_run_finished(folder: Path, results: Results) -> None:
    """A run directory is complete and in its final place."""


@hookspec
def report_sections(results: Results) -> Sequence[tuple[str, str]]:  # type: ignore[empty-body]
    """Sections for the report page: `(title, HTML)`; the HTML must stand alone, without links to files.

    Asked before the run directory is in its place, so it has a minute, in a thread of its own.
    """


@hookspec
def register_commands(app: typer.Typer) -> None:
    """Add commands to the command line. Asked only for a command that `wellposed` itself does not have."""


def _sections(value: Any) -> list[tuple[str, str]]:
    """The result of `report_sections`, checked: a run must not be lost because its page cannot be written."""
    sections = list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else None
    if sections is None or not all(map(_is_section, sections)):
        raise WrongResult(f"it returned {_short(value)}; a list of (title, HTML), both strings, is expected")
    return [(title, html) for title, html in sections]


def _is_section(value: Any) -> bool:
    if not (isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(text, str) for text in value)):
        return False
    try:
        "".join(value).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__} that holds something else"


#: What the result of a hook is passed through, and the seconds that an implementation may take, where work depends
#: on its return. Results of the other hooks are not used.
CHECKS = {"report_sections": _sections}
PATIENCE = {"report_sections": 60.0}
