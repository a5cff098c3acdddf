"""Building components from recipe nodes: names resolved by the registry, arguments checked by type hints."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import Tensor, nn

from ..errors import InputError, PluginError, RecipeError, WellposedError, memory_wanted
from ..interface import Component
from ..registry import KINDS, registry
from ..stopping import Stop
from .values import checked_value
from .words import nearest

#: Classes that recipes configure in place, without a registered name.
_NESTED = (Stop,)
#: Keys of a node that are no constructor arguments.
_WEIGHT, _WEIGHTS = "weight", "weights"


def build(kind: str, node: Any, where: str = "") -> Any:
    """Build the component of `kind` that `node` describes.

    A node is a name, `{use: name, argument: value, …}`, for regularizers also a list (a sum) and a
    `weight`, for operators also a list (a product, the last one is applied first). `weights: NAME` loads trained
    weights into what was built. Raises `RecipeError` at `where`.
    """
    kind = registry().check_kind(kind)
    where = where or KINDS[kind].label
    if isinstance(node, Component):
        return node
    if kind == "regularizers" and isinstance(node, list):
        return _build_sum(node, where)
    if kind == "operators" and isinstance(node, list):
        return _build_product(node, where)
    name, arguments = _parse_node(kind, node, where)
    cls = _load(kind, name, where)
    weight = arguments.pop(_WEIGHT, None) if _takes_weight(kind, cls) else None
    weights = arguments.pop(_WEIGHTS, None) if _takes_weights(cls) else None
    built = construct(cls, arguments, where)
    if weights is not None:
        _load_weights(built, weights, where)
    if weight is not None:
        return _guarded(lambda: checked_value(float, weight, f"{where}.weight") * built, cls, where)
    return built


def construct(cls: type, arguments: Mapping[str, Any], where: str = "") -> Any:
    """Call the constructor of `cls` with arguments converted by its type hints; raises `RecipeError`."""
    where = where or cls.__name__
    parameters = constructor_parameters(cls)
    for key in arguments:
        if key not in parameters:
            raise RecipeError(f"{cls.__name__} takes no argument {key!r}{nearest(str(key), parameters)}", where)
    missing = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n not in arguments]
    if missing:
        names = ", ".join(map(repr, missing))
        raise RecipeError(f"{cls.__name__} needs the argument{'s' * (len(missing) > 1)} {names}", where)
    hints = _hints(cls)
    converted = {k: _convert(hints.get(k, Any), v, f"{where}.{k}") for k, v in arguments.items()}
    return _guarded(lambda: cls(**converted), cls, where)


@cache
def constructor_parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The named constructor parameters of a component class."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if cls.__init__ in (object.__init__, nn.Module.__init__):
        return {}
    found = list(inspect.signature(cls.__init__).parameters.items())[1:]
    return {name: p for name, p in found if p.kind in kinds}


def _parse_node(kind: str, node: Any, where: str) -> tuple[str, dict[str, Any]]:
    label = KINDS[kind].label
    if isinstance(node, str):
        return node, {}
    if not isinstance(node, dict):
        raise RecipeError(f"a {label} is a name or a mapping with 'use'; {_what(node)} was given", where)
    if "use" not in node:
        raise RecipeError(f"the mapping has no 'use', which names the {label}", where)
    if not isinstance(node["use"], str):
        raise RecipeError(f"'use' is the name of a {label}; {_what(node['use'])} was given", where)
    strange = next((key for key in node if not isinstance(key, str)), None)
    if strange is not None:
        raise RecipeError(f"argument names are text; {strange!r} was given", where)
    return node["use"], {key: value for key, value in node.items() if key != "use"}


def _build_sum(nodes: list, where: str) -> Any:
    if not nodes:
        raise RecipeError("a list of regularizers is their sum and cannot be empty; leave the key out", where)
    terms = [build("regularizers", node, f"{where}.{i}") for i, node in enumerate(nodes)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _build_product(nodes: list, where: str) -> Any:
    """`[A, B]` is `A B`: the operator that is written first is applied last."""
    if not nodes:
        raise RecipeError("a list of operators is their product and cannot be empty", where)
    factors = [build("operators", node, f"{where}.{i}") for i, node in enumerate(nodes)]
    product = factors[0]
    for factor in factors[1:]:
        product = _guarded(lambda left=product, right=factor: left @ right, type(factor), where)
    return product


def _load(kind: str, name: str, where: str) -> type:
    try:
        return registry().find(kind, name).load()
    except InputError as error:
        raise RecipeError(str(error), where) from None
    except PluginError as error:
        raise PluginError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    """A recipe value as the constructor's hint wants it: nested components are built, the rest checked."""
    if value is None and _allows_none(hint):
        return None
    nested = next((c for c in _classes(hint) if c in _NESTED), None)
    if nested is not None:
        return _nested(nested, value, where)
    component = _component_class(hint)
    if component is None:
        return value if isinstance(value, Tensor) else checked_value(_without_components(hint), value, where)
    item = _item_hint(hint)
    if item is not None and isinstance(value, list) and _component_class(item):
        return [_convert(item, v, f"{where}.{i}") for i, v in enumerate(value)]
    if item is not None and isinstance(value, dict) and _is_mapping(hint):
        return {k: _convert(item, v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, Tensor):
        return value
    if not _is_node(component, value) and _has_plain_alternative(hint):
        return checked_value(_without_components(hint), value, where)
    built = build(_kind_of(component), value, where)
    if not isinstance(built, component):
        raise RecipeError(f"a {component.__name__} is needed here; {type(built).__name__} is none", where)
    return built


def _nested(cls: type, value: Any, where: str) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, dict):
        raise RecipeError(
            f"a mapping of {', '.join(constructor_parameters(cls))} is needed; {_what(value)} was given",
            where,
        )
    return construct(cls, value, where)


def _is_node(component: type, value: Any) -> bool:
    """Whether a value can only mean a component: a name, or a mapping with `use`."""
    if isinstance(value, list):
        return _kind_of(component) in ("operators", "regularizers")
    return isinstance(value, str | dict | Component)


def _guarded(make: Any, cls: type, where: str) -> Any:
    """Run a constructor; whatever it raises becomes a sentence at `where`."""
    try:
        return make()
    except RecipeError:
        raise
    except WellposedError as error:
        raise RecipeError(str(error), where) from error
    except Exception as error:
        wanted = memory_wanted(error)
        if wanted is not None:
            raise RecipeError(f"the memory does not suffice for {cls.__name__}{wanted}; take less", where) from error
        reason = " ".join(str(error).split()) or "no message"
        raise RecipeError(f"{cls.__name__} cannot be built: {type(error).__name__}: {reason}", where) from error


def _load_weights(module: Any, source: Any, where: str) -> None:
    from ..weights import load_weights

    if not isinstance(source, str):
        raise RecipeError(f"'weights' names trained weights or a .safetensors file; {_what(source)} was given", where)
    _guarded(lambda: load_weights(module, source), type(module), f"{where}.weights")


def _takes_weight(kind: str, cls: type) -> bool:
    return kind == "regularizers" and _WEIGHT not in constructor_parameters(cls)


def _takes_weights(cls: type) -> bool:
    return issubclass(cls, nn.Module) and _WEIGHTS not in constructor_parameters(cls)


# Type hints ---------------------------------------------------------------------------------------


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls.__init__)


def _arguments_of(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the hint itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _allows_none(hint: Any) -> bool:
    return hint is Any or any(a in (None, type(None)) for a in _arguments_of(hint))


def _classes(hint: Any) -> list[type]:
    found = []
    for member in _arguments_of(hint):
        if isinstance(member, type) and not typing.get_args(member):
            found.append(member)
        else:
            found.extend(c for a in typing.get_args(member) for c in _classes(a))
    return found


def _component_class(hint: Any) -> type | None:
    return next((c for c in _classes(hint) if issubclass(c, Component)), None)


def _item_hint(hint: Any) -> Any:
    """The item type of a list, tuple, sequence or mapping of components."""
    for member in _arguments_of(hint):
        arguments: tuple[Any, ...] = typing.get_args(member)
        if arguments and typing.get_origin(member) not in (None, typing.Literal):
            return arguments[-1] if _is_mapping(member) else arguments[0]
    return None


def _is_mapping(hint: Any) -> bool:
    return any(
        isinstance(o, type) and issubclass(o, Mapping)
        for o in (typing.get_origin(m) for m in _arguments_of(hint))
        if o is not None
    )


def _has_plain_alternative(hint: Any) -> bool:
    return any(_plain(m) for m in _arguments_of(hint))


def _without_components(hint: Any) -> Any:
    plain = tuple(m for m in _arguments_of(hint) if _plain(m))
    return typing.Union[plain]  # noqa: UP007 - built at run time from a tuple


def _plain(member: Any) -> bool:
    """Whether a recipe can write a value of this type: it is neither a component nor a tensor."""
    return not any(issubclass(c, Component | Tensor) for c in _classes(member)) and member is not type(None)


@cache
def _kind_of(component: type) -> str:
    import importlib

    for kind in KINDS.values():
        module, _, attribute = kind.interface.partition(":")
        interface = getattr(importlib.import_module(module), attribute)
        if issubclass(component, interface):
            return kind.name
    raise RecipeError(f"{component.__name__} belongs to no kind of component")


def _what(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"a {type(value).__name__}" if isinstance(value, dict | list) else f"{value!r}"
