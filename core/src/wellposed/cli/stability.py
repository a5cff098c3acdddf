"""`wellposed stability RECIPE`: how far errors of the measurement move the reconstructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json, Out, Overrides, Overwrite, RecipeArgument
from .output import console, print_json, table

if TYPE_CHECKING:
    from torch import Tensor

    from ..dataset import Sample
    from ..experiment import Experiment
    from ..stability import Disturbed, StabilityRow


def stability(
    recipe: RecipeArgument,
    settings: Overrides = None,
    solver: Annotated[list[str] | None, typer.Option(help="A solver's label; may be repeated. Else all.")] = None,
    norms: Annotated[str, typer.Option(help="Sizes of the error, relative to the measurement's.")] = "0.01,0.02,0.05",
    steps: Annotated[int, typer.Option(min=1, help="Ascent steps towards the worst error.")] = 15,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Find the errors that a solver amplifies most.

    Errors of the measurement, of several sizes; they are compared with random ones.
    """
    from ..errors import WellposedError
    from ..recipes import load_recipe
    from ..report.stability import stability_section
    from ..runs import RunDirectory
    from ..runs.contents import write_run
    from ..runs.processes import place_among
    from .execute import Place, prepared, recipe_name, run_experiment, shortest

    levels = _levels(norms)
    if place_among()[0] > 0:  # one process does it
        return
    loaded = load_recipe(recipe, settings or ())
    loaded = loaded.model_copy(update={"solvers": _chosen(loaded.solvers, solver)})
    folder = Place(out, overwrite).folder(f"stability-{recipe_name(recipe)}")
    with RunDirectory(folder, overwrite) as run:
        experiment = prepared(loaded)
        results = run_experiment(experiment)
        for failed in results.failures:
            raise WellposedError(f"solver {failed.solver} fails on sample {failed.sample}: {failed.reason}")
        rows, worst, clean = _study(experiment, levels, steps)
        run.write_json("stability.json", {"results": [row.document() for row in rows]})
        section = stability_section(rows, worst, clean)
        write_run(
            run,
            experiment,
            results,
            f"Stability: {loaded.summary or recipe_name(recipe)}",
            sections=[section],
        )
    if as_json:
        print_json({"results": [row.document() for row in rows], "run": shortest(run.target)})
        return
    _print(rows)
    console().print(f"report: {shortest(run.target / 'report.html')}", markup=False, soft_wrap=True)


def _study(experiment: Experiment, levels: list[float], steps: int) -> tuple[list[StabilityRow], dict, dict]:
    """All rows; and of the first sample the worst and the clean images of each solver."""
    import torch

    from ..stability import reconstruction, study
    from .progress import progress_bars

    rows: list[StabilityRow] = []
    worst: dict[str, Disturbed] = {}
    clean: dict[str, Any] = {}
    count = experiment.count
    bars = progress_bars()
    task = bars.add_task("stability", total=count * len(experiment.solvers) * len(levels), unit="levels/s")
    with bars:
        for index in range(count):
            sample = experiment.sample(index)
            operator, y = sample.operator, sample.measurement
            assert operator is not None
            assert y is not None
            with torch.no_grad():
                y = operator(sample.truth[None]) if sample.truth is not None else y[None]
            for label, solver in experiment.solvers.items():
                solver.requires_grad_(False)
                found, disturbed = study(
                    label,
                    solver,
                    sample.name,
                    operator,
                    y,
                    levels,
                    lambda x, s=sample: _measured(experiment, x, s),
                    steps=steps,
                    observer=lambda: bars.advance(task),
                )
                rows += found
                worst.setdefault(label, disturbed)
                clean.setdefault(label, reconstruction(solver, operator)(y)[0].cpu())
    return rows, worst, clean


def _measured(experiment: Experiment, x: Tensor, sample: Sample) -> dict[str, float]:
    if sample.truth is None:
        return {}
    return {name: float(metric(x, sample.truth[None])) for name, metric in experiment.metrics.items()}


def _levels(text: str) -> list[float]:
    from ..errors import InputError

    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--norms takes numbers such as 0.01,0.05; {text!r} was given") from None
    if any(not 0 < level < float("inf") for level in levels):
        raise InputError(f"--norms takes positive numbers; {text!r} was given")
    return levels


def _chosen(solvers: dict[str, Any], labels: list[str] | None) -> dict[str, Any]:
    from ..errors import InputError

    unknown = next((label for label in labels or () if label not in solvers), None)
    if unknown is not None:
        raise InputError(f"the recipe has no solver {unknown!r}; it has: {', '.join(solvers)}")
    return {label: node for label, node in solvers.items() if labels is None or label in labels}


def _print(rows: list[StabilityRow]) -> None:
    from rich.text import Text

    from ..report.table import number, quantity

    metric = next(iter(rows[0].metrics_worst), None)
    heads = ["error", "change, random", "worst", "gain"]
    heads += [f"{quantity(metric)}, random", "worst"] if metric else []
    made = table("solver", "sample", *heads, right=tuple(heads))
    for row in rows:
        cells = [f"{row.level:.3g}", f"{row.random:.3g}", f"{row.worst:.3g}", f"{row.worst_gain:.3g}"]
        if metric:
            cells += [number(metric, row.metrics_random[metric]), number(metric, row.metrics_worst[metric])]
        made.add_row(Text(row.solver), Text(row.sample), *cells)
    console().print(made)
    if any(row.method == "search" for row in rows):
        console().print("Some solvers are not differentiable; their worst errors were searched for, and may be worse.")
