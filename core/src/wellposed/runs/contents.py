"""What a run directory holds, written in one place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ..files.atomic import atomic, write_bytes
from ..hooks import hooks
from ..report import Page, render
from ..report.figure import save_overview
from ..report.page import PICTURED_SAMPLES
from ..report.picture import Picture, image_values, window_of
from .directory import RunDirectory
from .environment import environment
from .json_text import json_text

if TYPE_CHECKING:
    from ..experiment import Experiment, Results, SampleResult
    from ..recipes import Display

#: Bytes that a label takes in a file name: two labels and an extension stay below the 255 of file systems.
_LONGEST_NAME = 100

Sections = Sequence[tuple[str, str]]


def write_run(
    run: RunDirectory,
    experiment: Experiment,
    results: Results,
    title: str,
    sections: Sections = (),
) -> None:
    """Write everything that is known of an experiment into `run`.

    `recipe.yaml` (with what arguments of the data were estimated to be), `environment.json`, `results.json`
    (summary and rows), `metrics.jsonl` (one line for each row and each measured iteration),
    `reconstructions/*.npy` of the images that were kept, `figures/*.png`, the parameters of learned
    solvers as safetensors, `report.html`.
    """
    recipe = experiment.recipe
    surroundings = environment(recipe.seed, recipe.device)
    text = yaml.safe_dump(
        _as_found(recipe.document(), results.estimated), sort_keys=False, allow_unicode=True, width=100
    )
    run.write_text("recipe.yaml", text)
    run.write_json("environment.json", surroundings)
    run.write_json("results.json", results.document())
    run.write_text("metrics.jsonl", "".join(f"{line}\n" for line in metric_lines(results)))
    for sample in results.samples:
        _write_arrays(run, sample)
    for sample in results.samples[:PICTURED_SAMPLES]:
        _write_pictures(run, sample, recipe.display)
    if results.samples:
        save_overview(run.path("figures", "overview.png"), results, results.samples[0], recipe.display)
    _write_parameters(run, experiment)
    extra = [section for group in hooks().call("report_sections", results=results) for section in group]
    page = Page(title, recipe, surroundings, facts(experiment, surroundings), [*sections, *extra])
    run.write_text("report.html", render(page, results))


def _as_found(document: dict[str, Any], estimated: Mapping[str, float]) -> dict[str, Any]:
    """The recipe with estimated arguments of its data in their places, so that it runs as it was run."""
    for path, value in estimated.items():
        *outer, name = path.split(".")
        node = document["data"]
        for key in outer:
            node = node[key]
        node[name] = float(value)
    return document


def metric_lines(results: Results) -> list[str]:
    """One JSON object for each measured iteration, and one for each finished row."""
    lines = []
    for row in results.rows:
        of_iteration: dict[int, dict[str, float]] = {}
        for name, records in row.history.items():
            for count, value in records:
                of_iteration.setdefault(count, {})[name] = value
        place = {"solver": row.solver, "sample": row.sample}
        lines += [json_text({**place, "iteration": k, **of_iteration[k]}, None) for k in sorted(of_iteration)]
        lines.append(json_text(row.document(), None))
    return lines


def facts(experiment: Experiment, surroundings: dict) -> list[tuple[str, str]]:
    """The head of the report: what was reconstructed, from what, where."""
    recipe = experiment.recipe
    operator = experiment.operator or experiment.first().operator
    found = [("data", _node_text(recipe.data))]
    found += [(f"estimated {name}", f"{value:.6g}") for name, value in experiment.data.estimated().items()]
    if operator is not None:
        node = recipe.operator or (recipe.data.get("operator") if isinstance(recipe.data, dict) else None)
        found.append(("operator", _node_text(node) if node else type(operator).__name__))
        found.append(("image → measurement", f"{_size(operator.domain.shape)} → {_size(operator.range.shape)}"))
    if recipe.noise is not None:
        found.append(("noise", _node_text(recipe.noise)))
    found.append(("device", f"{surroundings['device']}, {recipe.precision} precision"))
    found.append(("made", f"{surroundings['date'].replace('T', ' ')[:16]} UTC, seed {recipe.seed}"))
    return found


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """A file name for each label; those that would be the same get a number behind."""
    found: dict[str, str] = {}
    for label in labels:
        plain = name = file_name(label)
        number = 2
        while name in found.values():
            name, number = f"{plain}-{number}", number + 1
        found[label] = name
    return found


def file_name(text: str) -> str:
    """A label as part of a file name; of a long one the beginning, with a checksum of the whole."""
    plain = re.sub(r"[^\w.+-]+", "-", text).strip("-.") or "unnamed"
    if len(plain.encode()) <= _LONGEST_NAME:
        return plain
    checksum = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{plain.encode()[: _LONGEST_NAME - 9].decode(errors='ignore')}-{checksum}"


def _write_arrays(run: RunDirectory, sample: SampleResult) -> None:
    names = file_names(sample.reconstructions)
    for label, image in sample.reconstructions.items():
        path = run.path("reconstructions", f"{file_name(sample.name)}.{names[label]}.npy")
        with atomic(path) as stream:
            np.save(stream, image.numpy(), allow_pickle=False)


def _write_pictures(run: RunDirectory, sample: SampleResult, display: Display) -> None:
    values = {label: image_values(x) for label, x in sample.reconstructions.items()}
    if sample.truth is not None:
        values = {"truth": image_values(sample.truth), **values}
    window = display.window or window_of(next(iter(values.values())))
    names = file_names(values)
    for label, image in values.items():
        path = run.path("figures", f"{file_name(sample.name)}.{names[label]}.png")
        write_bytes(path, Picture(image, window, display.colormap).png())


def _write_parameters(run: RunDirectory, experiment: Experiment) -> None:
    """`model.safetensors` of the learned solver, or `model-LABEL.safetensors` of each of several."""
    from ..weights import save_weights

    learned = {label: s for label, s in experiment.solvers.items() if any(True for _ in s.parameters())}
    names = file_names(learned)
    for label, solver in learned.items():
        name = "model.safetensors" if len(learned) == 1 else f"model-{names[label]}.safetensors"
        save_weights(solver, run.path(name), {"solver": label})


def _node_text(node: object) -> str:
    """A recipe node in a few words: its name and its plain arguments; of a product all factors."""
    if isinstance(node, list):
        return " ∘ ".join(map(_node_text, node))
    if not isinstance(node, dict):
        return str(node)
    plain = {key: value for key, value in node.items() if key != "use" and isinstance(value, int | float | str)}
    shown = [Path(str(value)).name if key == "path" else f"{key} {value}" for key, value in plain.items()]
    return ", ".join([str(node.get("use", "")), *shown])


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
