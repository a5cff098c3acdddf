"""What `demo`, `run`, `compare`, `evaluate` and `reconstruct` have in common: from a recipe to a run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .boundary import BAD_INPUT, FAILED
from .output import console, print_json, print_results

if TYPE_CHECKING:
    from ..experiment import Experiment, Results
    from ..recipes import Recipe


@dataclass(frozen=True)
class Place:
    """Where a run goes: the folder asked for, else one in `runs/` named after the recipe and the time."""

    out: Path | None
    overwrite: bool = False

    def folder(self, name: str) -> Path:
        from ..runs import default_folder

        return self.out or default_folder(name)


def recipe_name(source: str) -> str:
    """What a run of a recipe is called: the file's stem (of a run's own recipe, the run), or the shipped name."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        return source
    return path.absolute().parent.name if path.name == "recipe.yaml" else path.stem


def prepared(recipe: Recipe) -> Experiment:
    """Build the experiment with the recipe's seed and threads, which hold for the whole process."""
    import torch

    from ..experiment import prepare

    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    return prepare(recipe)


def execute(recipe: Recipe, name: str, place: Place, as_json: bool, images: int | None = None) -> Results:
    """Run a recipe, write its run directory with so many samples' images (default: all), print its results.

    Exits with 1 where no solver gave a finite image, with 2 where a sample was left out.
    """
    from ..hooks import hooks
    from ..runs import RunDirectory
    from ..runs.contents import write_run

    with RunDirectory(place.folder(name), place.overwrite) as run:
        experiment = prepared(recipe)
        results = run_experiment(experiment, images)
        write_run(run, experiment, results, recipe.summary or name)
    hooks().call("on_run_finished", folder=run.target, results=results)
    show(results, run.target, as_json)
    return results


def run_experiment(experiment: Experiment, images: int | None = None) -> Results:
    from ..hooks import hooks
    from .progress import RunProgress

    with RunProgress(experiment, hooks()) as progress:
        return experiment.run(progress.observer, progress.finished, images)


def show(results: Results, folder: Path, as_json: bool) -> None:
    """Print the results and where they are."""
    if as_json:
        document: dict[str, Any] = {**results.document(), "run": shortest(folder)}
        print_json(document)
    else:
        print_results(results)
        console().print(f"report: {shortest(folder / 'report.html')}", markup=False, soft_wrap=True)
    if not any(_usable(row) for row in results.rows):
        raise typer.Exit(FAILED)
    if results.left_out:
        raise typer.Exit(BAD_INPUT)


def shortest(path: Path) -> str:
    """A path relative to the working directory where it lies inside."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _usable(row: Any) -> bool:
    from ..solution import Verdict

    return row.verdict not in (Verdict.DIVERGED, Verdict.NON_FINITE_MEASUREMENT)
