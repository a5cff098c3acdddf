"""What every component promises to its reader: a summary, every argument explained, and its source."""

from __future__ import annotations

import inspect
import re

from ..recipes.builder import constructor_parameters
from .measure import that
from .promise import check
from .subject import Subject


@check(per_class=True)
def has_summary(subject: Subject) -> None:
    """The class has a docstring of its own whose first line is a sentence."""
    doc = inspect.cleandoc(subject.cls.__dict__.get("__doc__") or "")
    that(bool(doc), f"{subject.cls.__name__} has no docstring")
    first = doc.splitlines()[0]
    that(
        first.endswith((".", "?", "!")),
        f"the first line of {subject.cls.__name__}'s docstring must be a whole sentence that ends with a period, "
        f"because listings show it alone; it is {first!r}",
    )


@check(per_class=True)
def explains_arguments(subject: Subject) -> None:
    """The docstring mentions every constructor argument by its name."""
    own = subject.cls.__dict__
    doc = f"{own.get('__doc__') or ''}\n{getattr(own.get('__init__'), '__doc__', None) or ''}"
    words = set(re.findall(r"\w+", doc))
    missing = [name for name in constructor_parameters(subject.cls) if name not in words]
    that(
        not missing,
        f"the docstring of {subject.cls.__name__} does not mention its argument{'s' * (len(missing) > 1)} "
        f"{', '.join(missing)}",
    )


@check(per_class=True)
def names_source(subject: Subject) -> None:
    """`source` says where the method comes from."""
    source = getattr(subject.cls, "source", "")
    that(
        isinstance(source, str) and bool(source.strip()),
        f"{subject.cls.__name__}.source is empty; name the paper and the equation",
    )


@check(per_class=True)
def swallows_no_options(subject: Subject) -> None:
    """The constructor has no `**options` and every argument a type, so that a misspelt key is refused."""
    signature = inspect.signature(subject.cls.__init__)
    if not constructor_parameters(subject.cls):
        return
    loose = [str(p) for p in signature.parameters.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    that(not loose, f"{subject.cls.__name__}({', '.join(loose)}) would swallow misspelt arguments; name them")
    untyped = [
        name for name, p in constructor_parameters(subject.cls).items() if p.annotation is inspect.Parameter.empty
    ]
    that(not untyped, f"{subject.cls.__name__} gives no type to {', '.join(untyped)}; recipes are checked by types")


@check(per_class=True)
def name_is_kebab_case(subject: Subject) -> None:
    """The registered name is lower-case words joined by hyphens."""
    if subject.name is None:
        return
    bare = subject.name.partition("@")[0]
    that(
        re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", bare) is not None,
        f"registered names are kebab-case, as in total-variation; {bare!r} is not",
    )


CHECKS = (has_summary, explains_arguments, names_source, swallows_no_options, name_is_kebab_case)
