"""Hooks that write what they are told into the file that TOY_HOOKS names."""

from __future__ import annotations

import os
from pathlib import Path

from wellposed.hooks import hookimpl


def _tell(text: str) -> None:
    target = os.environ.get("TOY_HOOKS")
    if target:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(text + "\n")


@hookimpl
def on_iteration(solver, sample, progress):
    _tell(f"iteration {solver} {sample} {progress.count}")


@hookimpl
def on_train_step(step):
    _tell(f"step {step}")


@hookimpl
def on_checkpoint(path, step):
    _tell(f"checkpoint {step} {path.name}")


@hookimpl
def on_run_finished(folder):
    _tell(f"finished {folder.name}")


@hookimpl
def report_sections(results):
    return [("Toy section", f"<p>solvers: <b>{len(results.solvers)}</b></p>")]


@hookimpl
def register_commands(app):
    @app.command("toy")
    def toy() -> None:
        """Say hello."""
        import typer

        typer.echo("hello from the toy")
