"""Several bilevel trainings side by side: what each found, and what it cost.

`python -m wellposed_bilevel.comparison RECIPE … [--level F …] [--within P …] [--set KEY.PATH=VALUE]` trains each
recipe and writes a table to stdout. `--level` adds the work until the exact objective was first at most `F`, `--within`
until it was at most `P` percent above the lowest that one of the recipes ended with. `--draws N --starts M` repeats
each training on `N` draws of its data from `M` starts and writes medians and quartiles. With `--keep FOLDER` an
interrupted call goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wellposed import InputError, WellposedError
from wellposed.experiment import prepare, training_data
from wellposed.files.atomic import write_text
from wellposed.recipes import build, load_recipe

from .evaluation import Evaluation
from .lower_level import Demand
from .repetition import Outcome, Repetition, repetitions, summary
from .trainers.derivative_free import DerivativeFree
from .trainers.implicit import ImplicitGradient
from .transcript import evaluation_of, read_transcript
from .upper_level import UpperLevel

#: Certified accuracy of the lower level where the exact objective is measured, and the iterations allowed for it.
_EXACT = Demand(accuracy=1e-7, iterations=200_000)


@dataclass(frozen=True)
class Training:
    """One training. `objective`: exact at what was found. `count`: evaluations that it needed.

    `products`: Hessian products of an implicit gradient, as many passes over the images again.
    `seconds`: process time of the training alone.
    """

    name: str
    problem: UpperLevel
    evaluations: Sequence[Evaluation]
    objective: float
    count: int
    products: int
    seconds: float

    @property
    def work(self) -> int:
        """Lower-level iterations, summed over the images."""
        return sum(evaluation.work for evaluation in self.evaluations)

    def work_to(self, level: float) -> int | None:
        """Work up to the first evaluation that says `f ≤ level` and is right; `None` where there is none."""
        work = 0
        for evaluation in self.evaluations:
            work += evaluation.work
            if evaluation.value <= level and _exact(self.problem, evaluation) <= level:
                return work
        return None


def train_and_measure(
    source: str, settings: Sequence[str] = (), repetition: Repetition | None = None, folder: Path | None = None
) -> Training:
    """Train the recipe `source` in a new folder, or in `folder`, and measure the result exactly.

    Without a `repetition` data and start are the recipe's own.
    """
    recipe = load_recipe(source, [*settings, *(repetition.settings() if repetition else [])])
    if recipe.training is None:
        raise InputError(f"{source} has no 'training', so there is nothing to compare")
    experiment = prepare(recipe)
    trainer = build("trainers", recipe.training.trainer, "training.trainer")
    if not isinstance(trainer, DerivativeFree | ImplicitGradient):
        raise InputError(f"{source} trains by {type(trainer).__name__}, which is no bilevel trainer")
    data = training_data(experiment)
    target = experiment.solvers[recipe.training.target]
    if repetition is not None:
        trainer.space = repetition.space(trainer.space)
    with tempfile.TemporaryDirectory() as name:
        place = folder or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        begun = time.process_time()
        fitted = trainer.fit(target, data, place)
        seconds = _seconds(place, time.process_time() - begun)
        entries = read_transcript(place)
    problem = UpperLevel.pose(target, data, trainer.space, trainer.penalty)
    evaluations = [evaluation_of(entry) for entry in entries]
    best = min(evaluations, key=lambda e: abs(e.value - fitted.metrics["objective"]))
    products = sum(int(entry.get("hessian_products", 0)) for entry in entries)
    return Training(source, problem, evaluations, _exact(problem, best), fitted.steps, products, seconds)


def _seconds(folder: Path, measured: float) -> float:
    """What the training took when it was done, also where it is only read again."""
    path = folder / "seconds.json"
    if not path.exists():
        write_text(path, json.dumps(measured))
    return float(json.loads(path.read_text(encoding="utf-8")))


def repeated(
    sources: Sequence[str], settings: Sequence[str], given: Sequence[Repetition], percents: Sequence[float], keep: Path
) -> list[Outcome]:
    """Every recipe with every repetition; levels are `percents` above the lowest objective that its draw ended with."""
    outcomes = []
    for draw in dict.fromkeys(repetition.draw for repetition in given):
        same = [repetition for repetition in given if repetition.draw == draw]
        runs = [
            (
                source,
                train_and_measure(source, settings, one, keep / f"{number}-{Path(source).stem}-{draw}-{one.start}"),
            )
            for number, source in enumerate(sources)
            for one in same
        ]
        lowest = min(training.objective for _, training in runs)
        for source, training in runs:
            reached = [training.work_to((1 + percent / 100) * lowest) for percent in percents]
            work = tuple(float("inf") if found is None else float(found) for found in reached)
            excess = training.objective / lowest - 1
            outcomes.append(Outcome(source, excess, training.work, work, training.seconds))
    return outcomes


def table(rows: Sequence[Training], levels: Sequence[float]) -> str:
    """The trainings as a Markdown table."""
    reached = "".join(f" iterations to f ≤ {level:.4g} |" for level in levels)
    head = f"| recipe | exact f | evaluations | lower-level iterations |{reached} Hessian products | CPU s |"
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for row in rows:
        to_level = "".join(f" {_count(row.work_to(level))} |" for level in levels)
        lines.append(
            f"| {row.name} | {row.objective:.4f} | {row.count} | {_count(row.work)} |{to_level} "
            f"{_count(row.products)} | {row.seconds:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m wellposed_bilevel.comparison", description=__doc__)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--level", type=float, nargs="+", default=[], metavar="F")
    parser.add_argument("--within", type=float, nargs="+", default=[], metavar="P")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY.PATH=VALUE")
    parser.add_argument("--draws", type=int, default=0, metavar="N")
    parser.add_argument("--starts", type=int, default=1, metavar="M")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = parser.parse_args(arguments)
    try:
        if given.draws > 0:
            with tempfile.TemporaryDirectory() as name:
                every = repetitions(given.draws, given.starts)
                found = repeated(given.recipes, given.settings, every, given.within, given.keep or Path(name))
            sys.stdout.write(summary(found, given.within) + "\n")
            return 0
        rows = [train_and_measure(source, given.settings) for source in given.recipes]
    except WellposedError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    lowest = min(row.objective for row in rows)
    levels = [*given.level, *((1 + percent / 100) * lowest for percent in given.within)]
    sys.stdout.write(table(rows, levels) + "\n")
    return 0


def _exact(problem: UpperLevel, evaluation: Evaluation) -> float:
    return problem.evaluate(evaluation.index, evaluation.point, _EXACT, None)[0].value


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


if __name__ == "__main__":
    sys.exit(main())
