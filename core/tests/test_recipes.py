"""Recipes: what is read, what is refused and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wellposed import Dataset, Iteration, Regularizer, Sample, Stop
from wellposed.errors import RecipeError
from wellposed.interface import Component
from wellposed.recipes import Recipe, build, construct, load_recipe
from wellposed.recipes.learned import with_arguments
from wellposed.recipes.load import override, parse_value
from wellposed.recipes.model import parse
from wellposed.stopping import RelativeChange, Rule
from wellposed.testing.doubles import DenseOperator

MINIMAL = "data: shepp-logan\nsolvers: {a: iterative}\n"


class Gadget(Component):
    """A component with every sort of argument."""

    def __init__(
        self,
        size: tuple[int, int],
        scale: float = 1.0,
        name: str | None = None,
        rule: Rule | None = None,
        rules: list[Rule] | None = None,
        stop: Stop | None = None,
        tuned: float | Rule = 1.0,
        regularizer: Regularizer | None = None,
        iteration: Iteration | None = None,
        data: Dataset | None = None,
    ) -> None:
        if scale < 0:
            raise ZeroDivisionError("deliberate")
        self.size, self.scale, self.name, self.rule, self.rules = size, scale, name, rule, rules
        self.stop, self.tuned, self.regularizer = stop, tuned, regularizer


def gadget(**arguments: object) -> Gadget:
    return construct(Gadget, {"size": [2, 3], **arguments})


def test_plain_values_are_converted_by_their_hints() -> None:
    built = gadget(scale=2, name=None)
    assert built.size == (2, 3)
    assert isinstance(built.scale, float)


def test_nested_components_lists_and_stop_are_built() -> None:
    built = gadget(
        rule="relative-change",
        rules=["relative-change", {"use": "relative-change", "tolerance": 1e-2}],
        stop={"iterations": 7, "rules": ["relative-change"]},
        tuned={"use": "relative-change"},
        regularizer=["zero", {"use": "zero", "weight": 0.5}],
    )
    assert isinstance(built.rule, RelativeChange)
    assert [r.tolerance for r in built.rules] == [1e-4, 1e-2]
    assert built.stop.iterations == 7
    assert isinstance(built.tuned, RelativeChange)
    assert len(built.regularizer.terms) == 2
    assert gadget(tuned=0.25).tuned == 0.25


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": [2]}, "size"),
        ({"size": "ab"}, "size"),
        ({"scale": True}, "scale.*True"),
        ({"scale": "1"}, "scale.*'1'"),
        ({"scale": [1]}, "scale"),
        ({"scale": -1.0}, "cannot be built: ZeroDivisionError: deliberate"),
        ({"scal": 1.0}, "did you mean scale"),
        ({"rule": 3}, "a stopping rule is a name"),
        ({"rule": {"tolerance": 1}}, "has no 'use'"),
        ({"rule": {"use": 3}}, "'use' is the name"),
        ({"rule": {"use": "relative-change", 3: 1}}, "argument names are text"),
        ({"rule": {"use": "relative-changes"}}, "did you mean relative-change"),
        ({"rule": {"use": "relative-change", "tolerance": -1}}, "Gadget.rule: tolerance must be positive"),
        ({"stop": 3}, "a mapping of iterations, rules, every is needed"),
        ({"stop": {"iterations": -1}}, "iterations must be"),
        ({"regularizer": []}, "cannot be empty"),
        ({"name": 3}, "name"),
    ],
)
def test_wrong_arguments_get_a_sentence_with_their_place(arguments: dict, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        gadget(**arguments)


def test_missing_argument_is_named() -> None:
    with pytest.raises(RecipeError, match="needs the argument 'size'"):
        construct(Gadget, {})


def test_weight_of_a_regularizer_multiplies_it() -> None:
    x = torch.ones(2, 1, 3, 3)
    weighted = build("regularizers", {"use": "zero", "weight": 0.5})
    assert weighted.weight == 0.5
    assert torch.equal(weighted(x), torch.zeros(2))
    with pytest.raises(RecipeError, match="must be ≥ 0"):
        build("regularizers", {"use": "zero", "weight": -1})


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_list_of_operators_is_their_product() -> None:
    outer, inner = (DenseOperator.from_tensor(m, (1, 1, 3)) for m in (torch.rand(3, 3), torch.rand(3, 3)))
    outer = DenseOperator.from_tensor(outer.matrix, (3,))
    product = build("operators", [outer, inner])
    x = torch.rand(2, 1, 1, 3, dtype=product.inner.matrix.dtype)
    assert torch.equal(product(x), outer(inner(x)))
    with pytest.raises(RecipeError, match="cannot be empty"):
        build("operators", [])
    with pytest.raises(RecipeError, match="compose"):
        build("operators", [inner, outer])


def test_minimal_recipe_and_overrides(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, MINIMAL), ["seed=3", "data.size=64", "solvers.b.use=fista", "metrics=[psnr]"])
    assert recipe.seed == 3
    assert recipe.data == {"use": "shepp-logan", "size": 64}
    assert recipe.solvers["b"] == {"use": "fista"}
    assert recipe.metrics == ["psnr"]
    assert parse(recipe.document(), "again") == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("- 1", "a recipe is a mapping"),
        ("data: [", "not valid YAML"),
        ("data: x\ndata: y\nsolvers: {a: b}", "given twice"),
        ("data: &a x\nsolvers: {a: *a}", "aliases"),
        (b"data: \xff\xfe", "not UTF-8"),
        (MINIMAL + "sedd: 1", "did you mean seed"),
        (MINIMAL + "seed: true", "seed"),
        (MINIMAL + "seed: -1", "seed"),
        (MINIMAL + "samples: 0", "samples"),
        (MINIMAL + "precision: half", "precision"),
        ("data: shepp-logan", "'solvers' is missing"),
        ("data: shepp-logan\nsolvers: {}", "solvers"),
        ("solvers: {a: b}", "'data' is missing"),
        (MINIMAL + "3: 4", "keys are text"),
        ("data: !!python/object:os.system x", "not valid YAML"),
        (MINIMAL + "display: {window: [0, a]}", "display.window"),
        ("? [a]\n: b", "a key must be text"),
        ("data: 2020-13-45", "not valid YAML"),
    ],
)
def test_unreadable_recipes_get_a_sentence(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(write(tmp_path, text))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        load_recipe(write(tmp_path, "data: " + "[" * 5000 + "]" * 5000))


def test_missing_files_and_names() -> None:
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe("nowhere.yaml")
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe("nobody/nothing")


@pytest.mark.parametrize("text", ["seed", "=3", "seed.deeper=3", "metrics.7=psnr", "metrics.x=psnr", "seed=[", "a.b.c"])
def test_bad_overrides_are_told(text: str) -> None:
    with pytest.raises(RecipeError):
        override({"seed": 1, "metrics": ["psnr"]}, text)


def test_a_setting_of_a_solver_that_is_not_there_is_a_slip(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("data: d\nsolvers: {TV: {use: iterative}}\n")
    with pytest.raises(RecipeError, match="no solver 'TVV'; did you mean TV"):
        load_recipe(path, ["solvers.TVV.stop.iterations=4"])
    assert list(load_recipe(path, ["solvers.new={use: fbp}"]).solvers) == ["TV", "new"]


def test_exponents_are_numbers() -> None:
    assert parse_value("1e-3") == 1e-3
    assert parse_value("-2E+4") == -2e4
    assert parse_value("1e") == "1e"


class OneImage(Dataset):
    """A dataset of the test."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return Sample("one", torch.zeros(1, 2, 2))


def test_components_given_as_objects_pass_through() -> None:
    data = OneImage()
    assert build("datasets", data) is data


def test_recipe_document_is_plain() -> None:
    recipe = Recipe(data="x", solvers={"a": "b"})
    assert recipe.document()["display"] == {"colormap": "gray", "errors": True}


class Smooth(Regularizer):
    """A regularizer with a number."""

    def __init__(self, nu: float = 1.0, inner: Regularizer | None = None) -> None:
        super().__init__()
        self.nu, self.inner = nu, inner


def test_learned_arguments_are_written_where_the_recipe_has_them() -> None:
    recipe = parse(
        {
            "data": "d",
            "solvers": {
                "sum": {"use": "a", "prior": [{"use": "s", "weight": 1.0, "nu": 0.1}, {"use": "s", "weight": 2.0}]},
                "one": {"use": "a", "prior": {"use": "s", "weight": 3.0, "inner": {"use": "s", "weight": 4.0}}},
                "bare": {"use": "a", "prior": "s"},
            },
        },
        "test",
    )

    class Built:
        def __init__(self, prior: Regularizer) -> None:
            self.prior = prior

    for label, built, values, expected in (
        (
            "sum",
            1.0 * Smooth(0.1) + 2.0 * Smooth(),
            {"prior.terms.0.weight": 0.25, "prior.terms.0.regularizer.nu": 1e-7, "prior.terms.1.weight": 4.0},
            [{"use": "s", "weight": 0.25, "nu": 1e-7}, {"use": "s", "weight": 4.0}],
        ),
        (
            "one",
            3.0 * Smooth(inner=4.0 * Smooth()),
            {"prior.regularizer.inner.regularizer.nu": 0.5, "prior.regularizer.inner.weight": 2.5},
            {"use": "s", "weight": 3.0, "inner": {"use": "s", "weight": 2.5, "nu": 0.5}},
        ),
        ("bare", Smooth(), {"prior.nu": 0.75}, {"use": "s", "nu": 0.75}),
    ):
        learned = with_arguments(recipe, label, Built(built), values)
        assert learned.document()["solvers"][label]["prior"] == expected
    assert recipe.document()["solvers"]["bare"]["prior"] == "s"


@pytest.mark.parametrize(("length", "shown"), [(58, "'" + 58 * "x" + "'"), (59, "'" + 56 * "x" + "…")])
def test_what_was_given_is_shown_up_to_sixty_characters(length: int, shown: str) -> None:
    from wellposed.recipes.model import parse

    with pytest.raises(RecipeError) as refusal:
        parse({"data": "squares", "solvers": {"a": "x"}, "samples": length * "x"}, "r")
    assert f"{shown} was given" in str(refusal.value)
