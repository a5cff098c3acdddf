"""Shipped recipes, changed at random beside the files that they name, end soon: a result or a sentence, no traceback.

`WELLPOSED_MUTATIONS=5000 pytest -m slow tests/test_mutated_shipped_recipes.py` takes so many (default 1000).
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator

import pytest
import yaml
from command_line import run_command
from mutated_shipped import Worker, mutated, small, stand_ins

from wellposed.recipes import load_recipe

MUTATIONS = int(os.environ.get("WELLPOSED_MUTATIONS", "1000"))
SEED = int(os.environ.get("WELLPOSED_MUTATION_SEED", "0"))
#: They say that they need what a training makes.
UNTRAINED = {"generative/brain-identity", "generative/brain-diagonal", "sparse/ista-net-plus-25"}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("shipped")
    stand_ins(folder)
    found = Worker(folder)
    yield found
    found.stop()


def names() -> list[str]:
    listed = json.loads(run_command("recipes", "--json").output)
    return sorted(entry["name"] for entry in listed)


def wrong(worker: Worker, number: int, name: str) -> str | None:
    """What is wrong with the ending of one mutated recipe; `None` where nothing is."""
    rng = random.Random(f"{SEED} {number} {name}")
    document = mutated(small(load_recipe(name).document()), rng)
    path = worker.folder / "mutated.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    command = "train" if "training" in document and rng.random() < 0.5 else "run"
    ending = worker.run([command, path.name, "--out", "out"])
    bad = (
        ending.code not in (0, 1, 2)
        or "Traceback" in ending.errors
        or "This is a bug" in ending.errors
        or (ending.code != 0 and len(ending.errors.strip()) < 20)
    )
    for left in [worker.folder / "out", *worker.folder.glob(".out*"), *worker.folder.glob(".mutated*")]:
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return (
        f"{name}, {number}: {command}, exit {ending.code} after {ending.seconds:.0f} s: {ending.errors[-400:]}"
        if bad
        else None
    )


@pytest.mark.slow
def test_the_stand_ins_reach_the_work(worker: Worker) -> None:
    endings = {}
    for name in names():
        path = worker.folder / "plain.yaml"
        path.write_text(yaml.safe_dump(small(load_recipe(name).document()), allow_unicode=True), encoding="utf-8")
        ending = worker.run(["run", path.name, "--out", "plain"])
        endings[name] = ending
        shutil.rmtree(worker.folder / "plain", ignore_errors=True)
    assert {name for name, ending in endings.items() if ending.code != 0} == UNTRAINED, endings


@pytest.mark.parametrize("count", [24, pytest.param(MUTATIONS, marks=pytest.mark.slow)])
def test_mutated_shipped_recipes_end_with_a_result_or_a_sentence(worker: Worker, count: int) -> None:
    known = names()
    found = [wrong(worker, number, known[number % len(known)]) for number in range(count)]
    told = [each for each in found if each is not None]
    assert not told, f"{len(told)} of {count}:\n" + "\n".join(told)
