"""Changes that mutants are made with: methods wrapped, methods replaced, attributes set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .mutant import Change


def attributes(**values: Any) -> Change:
    """Other class attributes; they win over what the constructor sets."""

    def change(base: Any) -> type:
        class Changed(base):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                for name, value in values.items():
                    if name in self.__dict__:
                        self.__dict__[name] = value

        Changed.__init__.__wrapped__ = base.__init__  # its signature is what recipes are checked by
        for name, value in values.items():
            setattr(Changed, name, value)
        return Changed

    return change


def replaced(**methods: Callable[..., Any]) -> Change:
    """Other methods, written as `method(self, ...)`."""

    def change(base: Any) -> type:
        return type(f"Changed{base.__name__}", (base,), dict(methods))

    return change


def after(method: str, what: Callable[[Any], Any]) -> Change:
    """What a method returns, changed."""

    def change(base: Any) -> type:
        def changed(self: Any, *args: Any, **options: Any) -> Any:
            return what(getattr(base, method)(self, *args, **options))

        return _with(base, method, changed)

    return change


def before(method: str, what: Callable[[Any], Any], place: int = 0) -> Change:
    """One of the arguments that a method gets, changed."""

    def change(base: Any) -> type:
        def changed(self: Any, *args: Any, **options: Any) -> Any:
            given = list(args)
            given[place] = what(given[place])
            return getattr(base, method)(self, *given, **options)

        return _with(base, method, changed)

    return change


def around(method: str, what: Callable[..., Any]) -> Change:
    """A method as `what(self, original, *args)`, `original` the method bound to `self`."""

    def change(base: Any) -> type:
        def changed(self: Any, *args: Any, **options: Any) -> Any:
            return what(self, getattr(base, method).__get__(self), *args, **options)

        return _with(base, method, changed)

    return change


def _with(base: Any, method: str, changed: Callable[..., Any]) -> type:
    changed.__wrapped__ = getattr(base, method)  # type: ignore[attr-defined]  # recipes are checked by its signature
    return type(f"Changed{base.__name__}", (base,), {method: changed})


def every(*changes: Change) -> Change:
    """Several changes that together are one mistake."""

    def change(base: Any) -> type:
        for one in changes:
            base = one(base)
        return base

    return change


# What is done to values ---------------------------------------------------------------------------


def times(factor: float) -> Callable[[Any], Any]:
    return lambda value: None if value is None else value * factor


def plus(number: float) -> Callable[[Any], Any]:
    return lambda value: None if value is None else value + number


def flipped(tensor: Tensor) -> Tensor:
    return tensor.flip(-1)


def real_part(tensor: Tensor) -> Tensor:
    """The imaginary part dropped."""
    return torch.complex(tensor.real, torch.zeros_like(tensor.real)) if tensor.is_complex() else tensor


def conjugated(tensor: Tensor) -> Tensor:
    return tensor.conj().resolve_conj() if tensor.is_complex() else tensor


def first_alone(tensor: Tensor) -> Tensor:
    """The first sample in the place of all."""
    return tensor[:1].expand_as(tensor).clone()


def batch_centred(tensor: Tensor) -> Tensor:
    """A hundredth of the mean over the batch taken off every sample."""
    return tensor - 0.01 * tensor.mean(0, keepdim=True)


def saturated(level: float) -> Callable[[Tensor], Tensor]:
    def what(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return torch.complex(tensor.real.clamp(-level, level), tensor.imag.clamp(-level, level))
        return tensor.clamp(-level, level)

    return what


def detached(tensor: Tensor) -> Tensor:
    return tensor.detach()


def double(tensor: Tensor) -> Tensor:
    """Turned into double precision, as a product with a float64 constant does."""
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def through_single(tensor: Tensor) -> Tensor:
    """Rounded to single precision on the way."""
    return tensor.to(torch.complex64 if tensor.is_complex() else torch.float32).to(tensor.dtype)


def through_half(tensor: Tensor) -> Tensor:
    """Rounded to half precision where the tensor is single; double stays as it is."""
    if tensor.dtype == torch.float32:
        return tensor.to(torch.bfloat16).to(torch.float32)
    if tensor.dtype == torch.complex64:
        return torch.complex(through_half(tensor.real), through_half(tensor.imag))
    return tensor


def with_global_noise(tensor: Tensor) -> Tensor:
    """A little noise from torch's global generator."""
    return tensor + 1e-3 * torch.randn(tensor.shape).to(tensor.dtype)


def remembering(method: str, what: Callable[[Any, int], Any]) -> Change:
    """A method whose result depends on how often it was called."""

    def change(base: Any) -> type:
        def changed(self: Any, *args: Any, **options: Any) -> Any:
            count = self.__dict__.get("_calls", 0)
            self.__dict__["_calls"] = count + 1
            return what(getattr(base, method)(self, *args, **options), count)

        return _with(base, method, changed)

    return change


def writing_into(method: str, place: int = 0) -> Change:
    """A method that writes into one of its arguments."""

    def what(self: Any, original: Callable[..., Any], *args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        with torch.no_grad():
            args[place].mul_(0.5)
        return result

    return around(method, what)
