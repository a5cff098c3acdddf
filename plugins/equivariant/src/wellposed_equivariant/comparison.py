"""An equivariant solver and its twin side by side: trained on the same few images, tested upright and turned.

`python -m wellposed_equivariant.comparison RECIPE --out FOLDER [--seeds 0 1 …] [--set KEY.PATH=VALUE]` trains
every learned solver of the recipe, once per seed, reconstructs the recipe's images as they are and turned (a
quarter turn, and a drawn angle), and writes a table to stdout. An interrupted call goes on where it stopped.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from wellposed import Dataset, InputError, Metric, Simulated, Solver, WellposedError, component
from wellposed.experiment import prepare, training_data
from wellposed.experiment.plan import Experiment
from wellposed.recipes import Recipe, build, load_recipe
from wellposed.weights import save_weights

#: How the test images are turned, counter-clockwise; `None`: by an angle drawn for each image.
TURNS: dict[str, list[float] | None] = {"upright": [0.0], "turned 90°": [90.0], "turned at random": None}


@dataclass(frozen=True)
class Run:
    """One training: `values` are the metric of every test image, by how the images were turned."""

    solver: str
    seed: int
    parameters: int
    values: dict[str, list[float]]

    def mean(self, turn: str) -> float:
        return statistics.fmean(self.values[turn])


def compare(source: str, settings: Sequence[str], seeds: Sequence[int], out: Path) -> list[Run]:
    """Train and measure each learned solver of the recipe with each seed."""
    recipe = load_recipe(source, settings)
    if recipe.training is None:
        raise InputError(f"{source} has no 'training', so there is nothing to compare")
    first = prepare(recipe)
    learned = [name for name, solver in first.solvers.items() if any(p.requires_grad for p in solver.parameters())]
    if not learned:
        raise InputError(f"{source} has no learned solver, so there is nothing to compare")
    return [_trained(source, settings, name, seed, out) for seed in seeds for name in learned]


def reference(source: str, settings: Sequence[str]) -> list[Run]:
    """The recipe's solvers that are not learned, measured once."""
    experiment = prepare(load_recipe(source, settings))
    fixed = {n: s for n, s in experiment.solvers.items() if not any(p.requires_grad for p in s.parameters())}
    return [Run(name, 0, 0, _measured(experiment, solver)) for name, solver in fixed.items()]


def table(runs: Sequence[Run]) -> str:
    """One row per solver: for each turn the mean over images and seeds ± the deviation between images."""
    names = list(dict.fromkeys(run.solver for run in runs))
    head = "| solver | parameters | " + " | ".join(TURNS) + " | seeds, each |"
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for name in names:
        own = [run for run in runs if run.solver == name]
        cells = " | ".join(_cell(own, turn) for turn in TURNS)
        each = "; ".join(", ".join(f"{run.mean(turn):.2f}" for run in own) for turn in TURNS)
        lines.append(f"| {name} | {own[0].parameters:,} | {cells} | {each} |")
    return "\n".join(lines)


def differences(runs: Sequence[Run]) -> str:
    """How far the first learned solver is ahead of each other one, on the same images with the same seeds."""
    learned = [run for run in runs if run.parameters]
    names = list(dict.fromkeys(run.solver for run in learned))
    lines = []
    for other in names[1:]:
        for turn in TURNS:
            gaps = [
                gap for seed in {run.seed for run in learned} for gap in _gaps(learned, names[0], other, seed, turn)
            ]
            error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
            ahead = sum(gap > 0 for gap in gaps)
            lines.append(
                f"{names[0]} − {other}, {turn}: {statistics.fmean(gaps):+.2f} ± {error:.2f} (standard error), ahead on "
                f"{ahead} of {len(gaps)} reconstructions"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m wellposed_equivariant.comparison", description=__doc__)
    parser.add_argument("recipe", metavar="RECIPE")
    parser.add_argument("--out", type=Path, required=True, help="where trainings, which can be resumed, are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY.PATH=VALUE")
    given = parser.parse_args(arguments)
    try:
        runs = compare(given.recipe, given.settings, given.seeds, given.out)
        everything = [*reference(given.recipe, given.settings), *runs]
    except WellposedError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{table(everything)}\n\n{differences(runs)}\n")
    return 0


def _trained(source: str, settings: Sequence[str], name: str, seed: int, out: Path) -> Run:
    seeded = [*settings, f"training.target={name}", f"training.trainer.seed={seed}", f"solvers.{name}.seed={seed}"]
    recipe = load_recipe(source, seeded)
    assert recipe.training is not None  # checked before the first training
    experiment = prepare(recipe)
    trainer = build("trainers", recipe.training.trainer, "training.trainer")
    folder = out / f"{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    solver = experiment.solvers[name]
    trainer.fit(solver, training_data(experiment), folder)
    save_weights(solver, folder / "model.safetensors", {"recipe": source, "seed": str(seed)})
    parameters = sum(p.numel() for p in solver.parameters())
    return Run(name, seed, parameters, _measured(experiment, solver))


def _measured(experiment: Experiment, solver: Solver) -> dict[str, list[float]]:
    """The recipe's first metric of every test image, by turn."""
    metric = next(iter(experiment.metrics.values()))
    images, rotated = build("datasets", experiment.recipe.data, "data"), component("datasets", "rotated")
    solver.eval()
    with torch.no_grad():
        return {
            turn: list(_values(experiment, solver, metric, rotated(images, angles, experiment.recipe.seed)))
            for turn, angles in TURNS.items()
        }


def _values(experiment: Experiment, solver: Solver, metric: Metric, images: Dataset) -> Iterator[float]:
    data = _simulated(experiment.recipe, experiment, images)
    for index in range(len(data)):
        sample = data[index]
        assert sample.measurement is not None
        assert sample.operator is not None
        assert sample.truth is not None
        yield float(metric(solver(sample.measurement[None], sample.operator), sample.truth[None]))


def _simulated(recipe: Recipe, experiment: Experiment, images: Dataset) -> Simulated:
    if experiment.operator is None:
        raise InputError("the comparison turns images and measures them anew; the recipe must name an 'operator'")
    noise = None if recipe.noise is None else build("noise", recipe.noise, "noise")
    return Simulated(images, experiment.operator, noise, recipe.seed).to(experiment.device, experiment.dtype)


def _cell(runs: Sequence[Run], turn: str) -> str:
    images = [statistics.fmean(values) for values in zip(*(run.values[turn] for run in runs), strict=True)]
    spread = f" ± {statistics.stdev(images):.2f}" if len(images) > 1 else ""
    return f"{statistics.fmean(images):.2f}{spread}"


def _gaps(runs: Sequence[Run], first: str, second: str, seed: int, turn: str) -> list[float]:
    values = {run.solver: run.values[turn] for run in runs if run.seed == seed}
    return [a - b for a, b in zip(values[first], values[second], strict=True)]


if __name__ == "__main__":
    sys.exit(main())
