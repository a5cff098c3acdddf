"""Recipe values as constructor arguments: lists and mappings of components, tensors, products, sums, weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from wellposed import Regularizer, Stop
from wellposed.errors import RecipeError
from wellposed.interface import Component
from wellposed.operator import LinearOperator
from wellposed.recipes import build, construct
from wellposed.regularizer import Zero
from wellposed.stopping import FixedPointResidual, RelativeChange, Rule
from wellposed.testing.doubles import DenseOperator


class Rack(Component):
    """Holds components in every container."""

    def __init__(
        self,
        rules: list[Rule] | None = None,
        named: dict[str, Rule] | None = None,
        pair: tuple[Rule, ...] | None = None,
        weight: float | Tensor = 1.0,
        level: float | Rule | None = None,
        relative: RelativeChange | None = None,
        operator: LinearOperator | None = None,
        regularizer: Regularizer | None = None,
        stop: Stop | None = None,
        sizes: dict[str, int] | None = None,
    ) -> None:
        self.rules, self.named, self.pair, self.weight, self.level = rules, named, pair, weight, level
        self.relative, self.operator, self.regularizer, self.stop = relative, operator, regularizer, stop
        self.sizes = sizes


def rack(**arguments: object) -> Rack:
    return construct(Rack, arguments, "rack")


def test_a_mapping_of_components_is_built_by_its_keys() -> None:
    built = rack(named={"first": "relative-change", "second": {"use": "fixed-point-residual", "tolerance": 0.5}})
    assert built.named is not None
    assert list(built.named) == ["first", "second"]
    assert isinstance(built.named["first"], RelativeChange)
    assert isinstance(built.named["second"], FixedPointResidual)
    assert built.named["second"].tolerance == 0.5
    with pytest.raises(RecipeError, match=r"rack\.named\.second"):
        rack(named={"first": "relative-change", "second": "no-such-rule"})


def test_lists_are_built_in_order_and_told_by_number() -> None:
    built = rack(rules=["relative-change", {"use": "fixed-point-residual"}], pair=["relative-change"])
    assert [type(r) for r in built.rules or ()] == [RelativeChange, FixedPointResidual]
    assert [type(r) for r in built.pair or ()] == [RelativeChange]
    with pytest.raises(RecipeError, match=r"rack\.rules\.1"):
        rack(rules=["relative-change", "no-such-rule"])


def test_tensors_and_built_components_pass_as_they_are() -> None:
    tensor, rule, stop = torch.ones(3), RelativeChange(0.1), Stop(3)
    built = rack(weight=tensor, level=rule, stop=stop)
    assert built.weight is tensor
    assert built.level is rule
    assert built.stop is stop
    assert rack(level=tensor).level is tensor


def test_plain_values_where_a_component_could_stand() -> None:
    assert rack(level=2).level == 2.0
    assert rack(level=None).level is None
    assert rack(sizes={"a": 1}).sizes == {"a": 1}
    assert isinstance(rack(level="relative-change").level, RelativeChange)
    with pytest.raises(RecipeError, match="sizes"):
        rack(sizes={"a": "one"})
    with pytest.raises(RecipeError, match=r"rack\.weight"):
        rack(weight="heavy")


def test_a_component_of_the_kind_but_not_of_the_class_is_refused() -> None:
    with pytest.raises(RecipeError, match="a RelativeChange is needed here; FixedPointResidual is none"):
        rack(relative="fixed-point-residual")
    assert isinstance(rack(relative="relative-change").relative, RelativeChange)


@pytest.mark.parametrize(("value", "words"), [([1], "a list was given"), (7, "7 was given"), ("x", "'x' was given")])
def test_stop_is_a_mapping(value: object, words: str) -> None:
    with pytest.raises(RecipeError, match=rf"a mapping of iterations, rules, every is needed; {words}"):
        rack(stop=value)


def test_a_list_of_operators_is_their_product_the_last_one_first() -> None:
    first = DenseOperator([[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]], (2,))
    second = DenseOperator([[3.0, 0.0, 1.0], [0.0, 1.0, 0.0]], (3,))
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    product = build("operators", [second, first])
    torch.testing.assert_close(product(x), second(first(x)))
    assert build("operators", [first]) is first
    with pytest.raises(RecipeError, match="operator: a list of operators is their product and cannot be empty"):
        build("operators", [])
    with pytest.raises(RecipeError, match="operator"):
        build("operators", [first, first])


def test_a_list_of_regularizers_is_their_sum() -> None:
    total = build("regularizers", ["zero", {"use": "zero", "weight": 2.0}, Zero()])
    assert len(total.terms) == 3
    assert total.terms[1].weight == 2.0
    with pytest.raises(RecipeError, match="cannot be empty; leave the key out"):
        build("regularizers", [])
    with pytest.raises(RecipeError, match=r"regularizer\.weight"):
        build("regularizers", {"use": "zero", "weight": "heavy"})
    with pytest.raises(RecipeError, match="weight must be ≥ 0"):
        build("regularizers", {"use": "zero", "weight": -1.0})


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (3, "a regularizer is a name or a mapping with 'use'; 3 was given"),
        (None, "nothing was given"),
        ({"weight": 1.0}, "the mapping has no 'use', which names the regularizer"),
        ({"use": 3}, "'use' is the name of a regularizer; 3 was given"),
        ({"use": {"use": "zero"}}, "a dict was given"),
        ({"use": "zero", 3: 1}, "argument names are text; 3 was given"),
        ({"use": "zero", "strength": 1}, "Zero takes no argument 'strength'"),
        ({"use": "zero", "weights": 3}, "'weights' names trained weights or a .safetensors file; 3 was given"),
        ({"use": "zero", "weights": "nowhere"}, r"weights: 'nowhere' is neither a file"),
    ],
)
def test_nodes_that_say_nothing(node: object, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        build("regularizers", node)


def test_missing_arguments_are_counted() -> None:
    with pytest.raises(RecipeError, match="DenseOperator needs the arguments 'matrix', 'shape'"):
        construct(DenseOperator, {})
    with pytest.raises(RecipeError, match="DenseOperator needs the argument 'shape'"):
        construct(DenseOperator, {"matrix": [[1.0]]})
    with pytest.raises(RecipeError, match="an image of shape"):
        construct(DenseOperator, {"matrix": [[1.0]], "shape": [2]})


def test_an_error_without_a_message_still_gets_a_sentence() -> None:
    class Silent(Component):
        def __init__(self) -> None:
            raise ValueError

    with pytest.raises(RecipeError, match="Silent cannot be built: ValueError: no message"):
        construct(Silent, {})


def test_trained_weights_are_loaded_into_what_was_built(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "w.safetensors"
    save_file({}, str(path))
    assert isinstance(build("regularizers", {"use": "zero", "weights": str(path)}), Zero)


class Either(Component):
    """Takes rules in a list or by name."""

    def __init__(self, rules: list[Rule] | dict[str, Rule]) -> None:
        self.rules = rules


def test_a_list_or_a_mapping_of_components() -> None:
    named = construct(Either, {"rules": {"a": "relative-change"}}).rules
    assert isinstance(named["a"], RelativeChange)
    (listed,) = construct(Either, {"rules": ["relative-change"]}).rules
    assert isinstance(listed, RelativeChange)
