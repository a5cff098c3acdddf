"""What `demo`, `run`, `compare`, `evaluate` and `reconstruct` have in common: from a recipe to a run directory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .boundary import BAD_INPUT, FAILED
from .output import console, note, print_json, print_results

if TYPE_CHECKING:
    from ..experiment import Experiment, Results
    from ..experiment.outcome import Outcomes
    from ..recipes import Recipe
    from ..runs.processes import Processes


@dataclass(frozen=True)
class Place:
    """Where a run goes: the folder asked for, else one in `runs/` named after the recipe and the time."""

    out: Path | None
    overwrite: bool = False

    def folder(self, name: str) -> Path:
        from ..runs import default_folder

        return self.out or default_folder(name)

    def journal(self, name: str, target: Path, mark: str) -> Path:
        """Where finished reconstructions wait for the rest: beside the run, for the same command the same place."""
        from ..runs.contents import file_name

        return target.parent / f".{target.name if self.out else f'{file_name(name)}-{mark[:8]}'}.samples"


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


def execute(recipe: Recipe, name: str, place: Place, as_json: bool, images: int | None = None) -> Results | None:
    """Run a recipe, write its run directory with so many samples' images (default: all), print its results.

    Processes that were started together share the samples; the first one writes and prints, the others return `None`.
    What is finished outlasts an interruption: the same command goes on with it. Exits with 1 where no solver gave a
    finite image, with 2 where a sample was left out or a solver failed.
    """
    from ..hooks import hooks
    from ..runs.processes import Processes

    with Processes() as processes:
        if not processes.leads:
            follow(recipe, images, processes)
            return None
        folder, results = lead(recipe, name, place, images, processes)
    hooks().call("on_run_finished", folder=folder, results=results)
    show(results, folder, as_json)
    return results


def lead(recipe: Recipe, name: str, place: Place, images: int | None, processes: Processes) -> tuple[Path, Results]:
    """Do this process's share, gather the others', and write the run."""
    from ..runs import RunDirectory
    from ..runs.contents import write_run
    from ..runs.journal import RunJournal
    from ..runs.mark import mark_of

    with RunDirectory(place.folder(name), place.overwrite) as run:
        experiment = prepared(recipe)
        mark = mark_of(recipe, images)
        kept = RunJournal(place.journal(name, run.target, mark), mark, run.path("journal") / "samples")
        try:
            with kept:
                if kept.resumed:
                    note(f"going on with unfinished work: {kept.resumed} reconstructions are done")
                processes.told(str(kept.journal.folder))
                results = run_experiment(experiment, images, kept.journal, processes)
                shutil.rmtree(run.path("journal"), ignore_errors=True)
                write_run(run, experiment, results, recipe.summary or name)
        except (KeyboardInterrupt, SystemExit):
            if kept.kept:
                note(
                    f"{kept.kept} finished reconstructions are kept in {shortest(kept.journal.folder)}; the same "
                    f"command goes on with them"
                )
            raise
    kept.close()
    return run.target, results


def follow(recipe: Recipe, images: int | None, processes: Processes) -> None:
    """Do this process's share for the one that leads."""
    from ..runs.journal import Journal

    journal = Journal(Path(processes.told()))
    experiment = prepared(recipe)
    experiment.work(journal, processes.share(experiment.count), images=images)
    processes.wait()


def run_experiment(
    experiment: Experiment,
    images: int | None = None,
    outcomes: Outcomes | None = None,
    processes: Processes | None = None,
) -> Results:
    """Reconstruct this process's share of the samples, showing progress, and gather all of them."""
    from ..experiment.outcome import Outcomes
    from ..hooks import hooks
    from .progress import RunProgress

    outcomes = Outcomes() if outcomes is None else outcomes
    share = range(experiment.count) if processes is None else processes.share(experiment.count)
    with RunProgress(experiment, hooks(), len(share)) as progress:
        failure = experiment.work(outcomes, share, progress.observer, progress.finished, images)
        if processes is not None:
            processes.wait()
    return experiment.gathered(outcomes, images, failure)


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
    if results.left_out or results.failures:
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
