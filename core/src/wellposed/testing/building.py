"""What every component promises to a recipe: its examples are YAML, and build it without side effects."""

from __future__ import annotations

import copy

import safetensors.torch
import torch
import yaml
from torch import nn

from ..errors import ComponentNotFound, PluginError, RecipeError
from ..recipes.builder import build, construct
from ..registry import one_line, registry
from ..registry.known import PROVIDER
from .global_state import watched
from .measure import same_tensor, that
from .promise import NotPromised, check
from .subject import Subject


@check()
def builds_from_recipe(subject: Subject) -> None:
    """The example, written to YAML and read back, builds the component."""
    arguments = yaml.safe_load(yaml.safe_dump(dict(subject.arguments)))
    try:
        if subject.name is None:
            built = construct(subject.cls, arguments)
        else:
            built = build(subject.kind, {"use": subject.name, **arguments})
    except (RecipeError, PluginError) as error:
        missing = _missing_provider(error)
        if missing:
            raise NotPromised(f"its example is made with another distribution: {missing}") from error
        raise AssertionError(f"the example {arguments} cannot be built: {one_line(error)}") from error
    that(type(built) is subject.cls, f"the recipe {arguments} built a {type(built).__name__}")


@check()
def building_has_no_side_effects(subject: Subject) -> None:
    """The constructor changes neither its arguments nor any setting of the process."""
    built = subject.build()
    learned = isinstance(built, nn.Module) and any(True for _ in built.parameters())
    arguments = copy.deepcopy(dict(subject.arguments))
    with watched(f"building {subject.label}", allow_torch_random=learned):
        construct(subject.cls, arguments)
    that(arguments == dict(subject.arguments), f"{subject.label} changes its constructor's arguments")


@check(applies=lambda cls: issubclass(cls, nn.Module))
def state_survives_safetensors(subject: Subject) -> None:
    """`state_dict` goes through a safetensors file and back into a new instance, bit by bit."""
    component = subject.build(torch.float32)
    state = {name: tensor.contiguous() for name, tensor in component.state_dict().items()}
    try:
        read = safetensors.torch.load(safetensors.torch.save(state))
    except (RuntimeError, ValueError, KeyError) as error:
        raise AssertionError(f"the state of {subject.label} cannot be saved: {one_line(error)}") from error
    other = subject.build(torch.float32)
    other.load_state_dict(read)
    for name, tensor in other.state_dict().items():
        that(same_tensor(tensor, state[name]), f"{name} of {subject.label} changed on its way through a file")


@check(applies=lambda cls: issubclass(cls, nn.Module))
def moves_between_precisions(subject: Subject) -> None:
    """`.to(float64)` converts every tensor that the component holds, complex ones included."""
    subject.build()
    component = construct(subject.cls, subject.arguments)
    pieces = [*component.named_buffers(), *component.named_parameters()]
    kept = {name: tensor.detach().clone() for name, tensor in pieces}
    component.to(torch.float64)
    for name, tensor in [*component.named_buffers(), *component.named_parameters()]:
        before = kept[name]
        if before.is_floating_point():
            that(tensor.dtype == torch.float64, f"{name} of {subject.label} stays {tensor.dtype} after .to(float64)")
        that(
            tensor.is_complex() == before.is_complex(),
            f"{name} of {subject.label} is complex, and torch's module.to(dtype) drops the imaginary part; "
            f"register torch.view_as_real of it and use torch.view_as_complex where it is needed",
        )


def _missing_provider(error: BaseException) -> str | None:
    """The sentence on a component of a known distribution that is not installed; anything else is a broken example."""
    cause = error.__context__
    installed = {entry.distribution for entry in registry().entries()}
    if isinstance(cause, ComponentNotFound) and (set(PROVIDER.values()) - installed) and "pip install" in str(cause):
        return str(cause)
    return None


CHECKS = (builds_from_recipe, building_has_no_side_effects, state_survives_safetensors, moves_between_precisions)
