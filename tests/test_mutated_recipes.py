"""Three hundred wrong recipes: each gets a sentence and exit code 2, none a traceback."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import run_command

BASE = """
data: {use: shepp-logan, size: 32}
operator: {use: parallel-beam, shape: [32, 32], angles: 8}
noise: {use: gaussian, sigma: 0.05, relative_to: mean-abs}
solvers:
  FBP: {use: filtered-backprojection, filter: hann}
  TV:
    use: iterative
    iteration: {use: pdhg}
    fidelity: {use: l2, weight: 0.2}
    regularizer:
      - {use: total-variation, weight: 0.26}
      - nonnegativity
    stop: {iterations: 5, every: 5, rules: [{use: relative-change, tolerance: 1.0e-3}]}
metrics: [{use: psnr, data_range: 1.0}, ssim]
samples: 1
seed: 0
"""

Document = dict[str, Any]
Place = tuple[Any, Any]  # a container and the key or position inside it
PER_KIND = 34


def nodes(value: Any) -> Iterator[dict]:
    """Every mapping with `use`."""
    if isinstance(value, dict):
        if "use" in value:
            yield value
        for child in value.values():
            yield from nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from nodes(child)


def arguments(document: Document) -> list[Place]:
    return [(node, key) for node in nodes(document) for key in node if key != "use"]


def misspelt_name(document: Document, rng: random.Random) -> None:
    node = rng.choice(list(nodes(document)))
    name = node["use"]
    cut = rng.randrange(len(name))
    node["use"] = rng.choice([name[:cut] + "q" + name[cut:] + "q", name.upper(), "", f"{name}@nobody", "os.system"])


def unknown_argument(document: Document, rng: random.Random) -> None:
    rng.choice(list(nodes(document)))[rng.choice(["sigmaa", "Use", "kwargs", "x" * 300, "μ", "self"])] = 1


def wrong_type(document: Document, rng: random.Random) -> None:
    node, key = rng.choice(arguments(document))
    node[key] = rng.choice([{"a": 1}, [["deep"]], "many words", True, [None], {"use": {"use": "l2"}}])


def wrong_value(document: Document, rng: random.Random) -> None:
    changes: list[Callable[[Document], None]] = [
        lambda d: d["operator"].update(angles=rng.choice([0, -3])),
        lambda d: d["operator"].update(shape=[32, rng.choice([0, -1])]),
        lambda d: d["operator"].update(bins=rng.choice([0, -7])),
        lambda d: d["noise"].update(sigma=-rng.random() - 0.1),
        lambda d: d["noise"].update(relative_to=rng.choice(["max", "", "mean"])),
        lambda d: d["data"].update(size=rng.choice([0, -5])),
        lambda d: d["solvers"]["TV"]["stop"].update(iterations=-rng.randint(1, 9)),
        lambda d: d["solvers"]["TV"]["stop"].update(every=0),
        lambda d: d["solvers"]["TV"]["stop"]["rules"][0].update(tolerance=rng.choice([0, -1.0])),
        lambda d: d["solvers"]["TV"]["regularizer"][0].update(weight=-rng.random() - 0.01),
        lambda d: d["solvers"]["TV"]["fidelity"].update(weight=-1.0),
        lambda d: d["solvers"]["FBP"].update(filter=rng.choice(["hannn", "", "box"])),
        lambda d: d["metrics"][0].update(data_range=rng.choice([0, -1.0])),
        lambda d: d.update(samples=rng.choice([0, -1])),
        lambda d: d.update(seed=rng.choice([-1, 1.5])),
        lambda d: d.update(device=rng.choice(["gpu9", "cuda:77", ""])),
        lambda d: d.update(precision=rng.choice(["half", 32])),
    ]
    rng.choice(changes)(document)


def wrong_shape(document: Document, rng: random.Random) -> None:
    size = rng.choice([8, 16, 31, 33, 64])
    rng.choice(
        [
            lambda: document["operator"].update(shape=[size, size]),
            lambda: document["operator"].update(shape=[32, size]),
            lambda: document["operator"].update(shape=[32]),
            lambda: document["operator"].update(shape=[32, 32, size]),
            lambda: document["data"].update(size=size),
        ]
    )()


def wrong_nesting(document: Document, rng: random.Random) -> None:
    node = rng.choice([n for n in nodes(document) if len(n) > 1 or n["use"] == "pdhg"])
    inner = dict(node)
    node.clear()
    node.update(rng.choice([{"use": inner}, {"config": inner}, {"use": [inner["use"]]}, {"name": inner["use"]}, {}]))


def wrong_kind(document: Document, rng: random.Random) -> None:
    node = rng.choice(list(nodes(document)))
    others = [n["use"] for n in nodes(document) if n["use"] != node["use"] and n["use"] != "l2"]
    node["use"] = rng.choice(others)


def wrong_composition(document: Document, rng: random.Random) -> None:
    solver = document["solvers"]["TV"]
    rng.choice(
        [
            lambda: solver.update(iteration=rng.choice(["proximal-gradient", "fista", "gradient-descent"])),
            lambda: solver.update(acceleration={"use": rng.choice(["none", "nobody"]), "memory": 3}),
            lambda: solver["stop"]["rules"].append({"use": "certified-accuracy", "accuracy": -rng.random()}),
            lambda: solver.pop("iteration"),
            lambda: solver.pop("fidelity"),
            lambda: document["solvers"].clear(),
            lambda: document.pop(rng.choice(["data", "operator", "solvers"])),
        ]
    )()


STRUCTURED = [
    misspelt_name,
    unknown_argument,
    wrong_type,
    wrong_value,
    wrong_shape,
    wrong_nesting,
    wrong_kind,
    wrong_composition,
]


def broken_text(rng: random.Random) -> bytes:
    text = BASE.strip()
    where = rng.randrange(1, len(text))
    choices: list[Callable[[], bytes]] = [
        lambda: text.encode("utf-16"),
        lambda: text[:where].encode() + b"\xff\xfe\xfa" + text[where:].encode(),
        lambda: text.encode() + b"\nname: \xe9t\xe9",
        lambda: text[: text.index("[32, 32") + 3].encode(),
        lambda: ("\t" + text).encode(),
        lambda: text.encode() + b"\x00",
        lambda: rng.randbytes(200),
        lambda: b"",
        lambda: b"   \n# nothing\n",
        lambda: text.encode() + b"\nseed: 1\n",
        lambda: text.replace("{use: l2", "&x {use: l2").encode() + b"\nnoise: *x",
        lambda: b"!!python/object/apply:os.system ['true']",
        lambda: text.replace("seed: 0", f"{rng.choice(['sed', 'seeds', 'SEED', '1'])}: 0").encode(),
        lambda: yaml.safe_dump([yaml.safe_load(text)]).encode(),
        lambda: b"{" * 300,
    ]
    return rng.choice(choices)()


def cases() -> list[tuple[str, bytes]]:
    found = []
    for mutate in STRUCTURED:
        rng = random.Random(mutate.__name__)
        for i in range(PER_KIND):
            document = copy.deepcopy(yaml.safe_load(BASE))
            mutate(document, rng)
            found.append((f"{mutate.__name__}-{i}", yaml.safe_dump(document, allow_unicode=True).encode()))
    rng = random.Random("text")
    found += [(f"broken_text-{i}", broken_text(rng)) for i in range(PER_KIND)]
    return found


def test_there_are_three_hundred() -> None:
    assert len(cases()) >= 300


def test_the_unchanged_recipe_runs(tmp_path: Path) -> None:
    path = tmp_path / "right.yaml"
    path.write_text(BASE)
    done = run_command("run", str(path), "--out", str(tmp_path / "out"))
    assert done.code == 0, done.errors


@pytest.mark.parametrize("kind", [*(m.__name__ for m in STRUCTURED), "broken_text"])
def test_wrong_recipes_get_a_sentence(kind: str, tmp_path: Path) -> None:
    for name, content in cases():
        if not name.startswith(kind):
            continue
        path = tmp_path / f"{name}.yaml"
        path.write_bytes(content)
        done = run_command("run", str(path), "--out", str(tmp_path / "out"))
        story = f"{name}\n{content.decode(errors='replace')}\n--- exit {done.code}\n{done.errors}"
        assert done.code == 2, story
        assert "Traceback" not in done.errors, story
        assert 20 <= len(done.errors.strip()) <= 900, story
        assert not (tmp_path / "out").exists(), story
