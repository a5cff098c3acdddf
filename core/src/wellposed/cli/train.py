"""`wellposed train RECIPE`: fit a recipe's solver, going on where an earlier attempt stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .execute import shortest
from .options import Json, Overrides, Overwrite, RecipeArgument
from .output import note

if TYPE_CHECKING:
    from ..dataset import Dataset
    from ..experiment import Experiment
    from ..recipes import Recipe
    from ..trainer import Fitted, Trainer
    from .progress import TrainingProgress


def train(
    recipe: RecipeArgument,
    settings: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The run's folder; without it, one named after the settings.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a recipe's solver, then measure it.

    The recipe's `training` names trainer, target and data. After an interruption, the same command goes on.
    """
    from ..errors import RecipeError
    from ..recipes import load_recipe
    from .execute import recipe_name

    loaded = load_recipe(recipe, settings or ())
    if loaded.training is None:
        raise RecipeError("the recipe has no 'training'; it names trainer, target and data", recipe)
    if not any(f"{loaded.training.target}.".startswith(f"{label}.") for label in loaded.solvers):
        known = ", ".join(loaded.solvers)
        raise RecipeError(
            f"{loaded.training.target!r} is none of the solvers ({known}), nor a part of one", "training.target"
        )
    folder = out or resumable_folder(recipe_name(recipe), loaded)
    _train(loaded, recipe_name(recipe), folder, overwrite, as_json)


def resumable_folder(name: str, recipe: Recipe) -> Path:
    """The same folder for the same settings, so that the same command finds its unfinished work."""
    from ..runs.contents import file_name

    settings = json.dumps(recipe.document(), sort_keys=True).encode()
    return Path("runs") / f"train-{file_name(name)}-{hashlib.sha256(settings).hexdigest()[:8]}"


def _train(recipe: Recipe, name: str, folder: Path, overwrite: bool, as_json: bool) -> None:
    from ..experiment import training_data, training_target
    from ..hooks import hooks
    from ..recipes import build
    from ..report.training import training_section
    from ..runs import FollowedRunDirectory, ResumableRunDirectory
    from ..runs.contents import write_run
    from ..runs.processes import place_among
    from ..weights import save_weights
    from .execute import prepared, run_experiment, show
    from .progress import TrainingProgress

    assert recipe.training is not None
    leads = place_among()[0] == 0
    with ResumableRunDirectory(folder, overwrite) if leads else FollowedRunDirectory(folder) as run:
        state = run.folder / "trainer"
        if leads:
            state.mkdir(exist_ok=True)
            _check_same(run.folder, recipe)
        experiment = prepared(recipe)
        target = training_target(experiment)
        trainer = build("trainers", recipe.training.trainer, "training.trainer")
        data = training_data(experiment)
        with TrainingProgress(hooks()) as observer:
            if not leads:
                trainer.fit(target, data, state, observer)
                return
            fitted = _fit(trainer, target, data, state, observer)
        _take_over(experiment, target, fitted.arguments)
        if recipe.training.target not in experiment.solvers:  # `weights:` loads into the part that was trained
            save_weights(target, run.path("target.safetensors"), {"target": recipe.training.target})
        results = run_experiment(experiment)
        write_run(run, experiment, results, recipe.summary or name, training_section(state / "metrics.jsonl"))
    hooks().call("on_run_finished", folder=run.target, results=results)
    show(results, run.target, as_json)


def _fit(trainer: Trainer, target: Any, data: Dataset, folder: Path, observer: TrainingProgress) -> Fitted:
    """Train, and say where the work is: at its beginning where no bar is shown, and when it is broken off."""
    if not observer.visible:
        note(f"training; metrics and checkpoints are in {shortest(folder)}")
    try:
        return trainer.fit(target, data, folder, observer)
    except (KeyboardInterrupt, SystemExit):
        if observer.kept is None:
            note("the training was broken off before its first checkpoint; the same command begins anew")
        else:
            note(f"the checkpoint of step {observer.kept} is in {shortest(folder)}; the same command goes on from it")
        raise


def _take_over(experiment: Experiment, target: Any, arguments: dict[str, float]) -> None:
    """Write learned arguments into the recipe that the run keeps, so that `wellposed run` uses them."""
    from ..recipes.learned import with_arguments

    training = experiment.recipe.training
    assert training is not None
    if arguments:
        experiment.recipe = with_arguments(experiment.recipe, training.target, target, arguments)
    for path, value in arguments.items():
        note(f"learned: {training.target}.{path} = {value:.6g}")


def _check_same(folder: Path, recipe: Recipe) -> None:
    """Unfinished work goes on only with the settings it was begun with."""
    from ..errors import InputError
    from ..files.atomic import write_text

    begun: dict[str, Any] = json.loads(json.dumps(recipe.document()))
    record = folder / "begun.json"
    earlier = _recorded(record)
    if earlier is None:
        write_text(record, json.dumps(begun))
        return
    other = _difference(earlier, begun)
    if other is not None:
        raise InputError(
            f"{shortest(folder)} holds unfinished work with another {other}; choose another --out or remove it"
        )
    note("going on with unfinished work")


def _recorded(record: Path) -> dict[str, Any] | None:
    """The settings of an earlier attempt; none where they were never written whole.

    Checkpoints know the settings of their training themselves, so that nothing is lost with this record.
    """
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _difference(one: Any, two: Any, place: str = "") -> str | None:
    """The first place at which two recipes differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        keys = [*one, *(key for key in two if key not in one)]
        found = (_difference(one.get(key), two.get(key), f"{place}.{key}".lstrip(".")) for key in keys)
        return next((each for each in found if each is not None), None)
    return None if one == two else place
