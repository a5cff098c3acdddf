"""What a recipe holds: the schema of the YAML file, checked before anything is built."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from ..errors import RecipeError
from ..plain_text import has_control

#: Bytes of a solver's label, which becomes part of file names.
LONGEST_LABEL = 100
#: More are no machine's, and the libraries that are told to start them end the process.
MOST_THREADS = 4096

Node = str | dict[str, Any] | list[Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Display(_Strict):
    """How images are shown: grey window, zoomed region `[row, column, height, width]`, colour map.

    `errors` is off where the reference is no image of the same quantity, a segmentation for instance.
    """

    window: tuple[float, float] | None = None
    zoom: tuple[int, int, int, int] | None = None
    colormap: str = "gray"
    errors: bool = True

    @field_validator("window", "zoom", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("window")
    @classmethod
    def _increasing(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise PydanticCustomError("window", "the value should be two increasing numbers, black and white")
        return value

    @field_validator("zoom")
    @classmethod
    def _inside(cls, value: tuple[int, int, int, int] | None) -> tuple[int, int, int, int] | None:
        if value is not None and (min(value) < 0 or min(value[2:]) < 1):
            raise PydanticCustomError("zoom", "the value should be [row, column, height, width] of a region")
        return value


class Training(_Strict):
    """What `wellposed train` fits: the solver labelled `target`, by `trainer`, on `data`.

    `target` may also be a part of a solver, by its path in the recipe: `my-solver.regularizer.model`.
    """

    trainer: Node
    target: str
    data: Node


class Recipe(_Strict):
    """A recipe.

    `data` names a dataset. Samples without a measurement get one from `operator` and `noise`. Samples
    that bring their own operator (measured data with their geometry) need no `operator`. `solvers` maps
    labels to solvers, `metrics` is a list, `samples` how many samples of the dataset are used, or `all`.
    """

    summary: str = ""
    data: Node
    operator: Node | None = None
    noise: Node | None = None
    solvers: dict[str, Node] = Field(min_length=1)
    metrics: list[Node] = Field(default_factory=lambda: ["psnr", "ssim"])
    samples: Annotated[int, Field(ge=1)] | Literal["all"] = 1
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    device: str = "cpu"
    precision: Literal["single", "double"] = "single"
    threads: int | None = Field(default=None, ge=1, le=MOST_THREADS)
    monitors: list[str] = Field(default_factory=list)
    display: Display = Field(default_factory=Display)
    training: Training | None = None

    @field_validator("solvers")
    @classmethod
    def _labelled(cls, value: dict[str, Node]) -> dict[str, Node]:
        """Labels become names of files and stand on the terminal."""
        for label in value:
            size = len(label.encode("utf-8", "replace"))
            if has_control(label) or size > LONGEST_LABEL:
                given = f"{label[:40]!r}{'…' if len(label) > 40 else ''}"
                reason = f"has {size} bytes" if size > LONGEST_LABEL else "has control characters"
                raise PydanticCustomError(
                    "label",
                    "a label is one line of at most {most} bytes; {given} {reason}",
                    {"most": LONGEST_LABEL, "given": given, "reason": reason},
                )
        return value

    def document(self) -> dict[str, Any]:
        """The resolved recipe as plain data: what a run directory keeps."""
        return self.model_dump(mode="json", exclude_none=True)


def parse(document: Any, source: str) -> Recipe:
    """Check plain data against the schema; raises `RecipeError` with the place and the reason."""
    if not isinstance(document, dict):
        raise RecipeError(f"a recipe is a mapping of keys to values, not a {_kind(document)}", source)
    strange = [key for key in document if not isinstance(key, str)]
    if strange:
        raise RecipeError(f"keys are text; {strange[0]!r} is a {_kind(strange[0])}", source)
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise RecipeError(explain(error, Recipe.model_fields), source) from None


def explain(error: ValidationError, known: Any = ()) -> str:
    """The first of pydantic's findings, as a sentence."""
    found = error.errors(include_url=False)
    first = next((f for f in found if f["type"] == "extra_forbidden"), found[0])
    place = ".".join(str(part) for part in first["loc"] if not _names_a_type(str(part)))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 and first["type"] != "extra_forbidden" else ""
    if first["type"] == "extra_forbidden":
        from .words import nearest

        return f"there is no key {place!r}{nearest(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        if isinstance(first["loc"][-1], int):
            return f"the list is too short; entry {first['loc'][-1] + 1} is missing"
        return f"the key {place!r} is missing"
    given = "" if isinstance(first.get("input"), dict | list) else f"; {_short(first.get('input'))} was given"
    message = _plain_words(first["msg"])
    return f"{place}: {message}{given}{more}" if place else f"{message}{given}{more}"


def _plain_words(message: str) -> str:
    """Pydantic's message in the words of this package."""
    message = message[0].lower() + message[1:]
    for theirs, ours in (("input should", "the value should"), (" after validation", ""), ("valid array", "list")):
        message = message.replace(theirs, ours)
    return message


def _names_a_type(part: str) -> bool:
    """Whether pydantic put this part of a location there for a member of a union, not for a key."""
    return "[" in part or part in ("float", "int", "str", "bool", "literal", "constrained-str", "none")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _kind(value: Any) -> str:
    names = {"NoneType": "nothing", "str": "text", "int": "number", "float": "number", "bool": "truth value"}
    return names.get(type(value).__name__, type(value).__name__)
