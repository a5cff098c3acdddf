"""`wellposed reconstruct`: one's own measurement, an operator and solvers by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json, Out, Overwrite
from .output import note

if TYPE_CHECKING:
    from torch import Tensor

    from ..recipes import Recipe

_EXAMPLE = (
    "--operator parallel-beam 'shape=[256,256]' angles=180 --measurement sinogram.npy --solver filtered-backprojection"
)


def reconstruct(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE] [KEY=VALUE]...",
            help="A recipe to take solvers from, and the operator or the reader of the file; then arguments of these, "
            "such as angles=180, or of the recipe, such as device=cuda.",
        ),
    ] = None,
    measurement: Annotated[
        Path | None,
        typer.Option(help="The measured data: .npy .npz .h5 .mat .tif .png .dcm …", show_default=False),
    ] = None,
    operator: Annotated[
        str | None, typer.Option(help="How it was measured: an operator's name, or a YAML file of one.")
    ] = None,
    solver: Annotated[
        list[str] | None, typer.Option(help="[LABEL=] a solver's name, a YAML file of one, or YAML; may be repeated.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The array's name where the file holds several.")] = None,
    transpose: Annotated[str | None, typer.Option(help="Order of the file's axes, such as 1,0.")] = None,
    reference: Annotated[Path | None, typer.Option(help="The true image, to measure against.")] = None,
    save: Annotated[Path | None, typer.Option(help="Also write the image alone: .npy .h5 .mat .tif .png.")] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Reconstruct your own measurement.

    Writes arrays, pictures and a report into one run directory.
    """
    from ..errors import InputError
    from .execute import Place, execute

    if measurement is None:
        raise InputError(f"--measurement FILE is missing. For example: wellposed reconstruct {_EXAMPLE}")
    source, settings = _split(arguments or [])
    data: dict[str, Any] = {"path": str(measurement.absolute()), "key": key, "transpose": _axes(transpose)}
    data["reference"] = None if reference is None else str(reference.absolute())
    recipe = composed(source, operator, solver or [], data, settings)
    if save is not None:
        _check_save(save, recipe)
    results = execute(recipe, f"reconstruct-{measurement.stem}", Place(out, overwrite), as_json)
    if save is not None and results is not None:  # the first of several processes saves
        _save(save, [next(iter(sample.reconstructions.values())) for sample in results.samples], recipe)


def composed(
    source: str | None, operator: str | None, solvers: list[str], data: dict[str, Any], settings: list[str]
) -> Recipe:
    """The recipe that reconstructs a measurement file; running it again gives the same images.

    The file is read by the dataset of the recipe `source` where that knows how it was measured, and else with the
    operator that is given.
    """
    from ..errors import InputError
    from ..recipes import load_recipe
    from ..recipes.load import override
    from ..recipes.model import Recipe, parse

    document = {} if source is None else load_recipe(source).document()
    node = document.pop("operator", None) if operator is None else _node(operator, "operator")
    own = document.get("data")
    reader = own if node is None and isinstance(own, dict) and "path" in own else None
    if node is None and reader is None:
        raise InputError(
            "--operator NAME is missing: how the measurement was made. `wellposed list operators` names them"
        )
    if solvers:
        document["solvers"] = _labelled(solvers)
    if "solvers" not in document:
        raise InputError("--solver NAME is missing. `wellposed list solvers` names them")
    document.pop("noise", None)
    document.pop("operator", None)
    if data.get("reference") is None:
        document["metrics"] = []
        document["monitors"] = [name for name in document.get("monitors", ()) if name == "objective"]
    given = {name: value for name, value in data.items() if value is not None}
    node = {"use": node} if isinstance(node, str) else node
    document["data"] = {"use": "measurement-file", **given, "operator": node} if reader is None else {**reader, **given}
    document.setdefault("summary", f"Reconstruction of {Path(data['path']).name}")
    document["samples"] = "all"  # a file may hold several measurements
    for text in settings:
        first = text.partition("=")[0].split(".")[0]
        inside = first == "operator" or first not in Recipe.model_fields
        place = "data.operator" if reader is None else "data"
        override(document, f"{place}.{text.removeprefix('operator.')}" if inside else text)
    return parse(document, "reconstruct")


def _split(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The recipe, if the first argument is no setting, and the settings."""
    from ..errors import InputError

    source = arguments[0] if arguments and "=" not in arguments[0] else None
    settings = arguments[1:] if source is not None else arguments
    strange = next((text for text in settings if "=" not in text), None)
    if strange is not None:
        raise InputError(f"{strange!r} is neither a setting key=value nor the first argument, which may name a recipe")
    return source, settings


def _node(text: str, what: str) -> Any:
    """A component given as a name, as a YAML file, or as YAML."""
    from ..errors import InputError
    from ..recipes.load import parse_value

    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"{text}: there is no such file for the {what}")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not readable as text: {error}") from None
    return parse_value(text, f"--{what}")


def _labelled(solvers: list[str]) -> dict[str, Any]:
    """The nodes of `LABEL=SOLVER` or `SOLVER`; without a label a solver is called by its name or its file."""
    from .compare import free_label

    found: dict[str, Any] = {}
    for text in solvers:
        label, equals, rest = text.partition("=")
        given = bool(equals) and "{" not in label
        node = _node(rest if given else text, "solver")
        name = label if given else _name_of(text, node)
        found[free_label(name.strip(), "again", found)] = node
    return found


def _name_of(text: str, node: Any) -> str:
    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        return path.stem
    if not isinstance(node, dict):
        return text
    iteration = node.get("iteration", node.get("use", "solver"))
    return str(iteration.get("use", "solver") if isinstance(iteration, dict) else iteration)


def _axes(text: str | None) -> list[int] | None:
    from ..errors import InputError

    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--transpose takes an order of axes such as 1,0; {text!r} was given") from None


def _save(path: Path, images: list[Tensor], recipe: Recipe) -> None:
    """The arrays as they are; as PNG what the report shows of them, in its grey window."""
    import numpy as np

    from ..files import write_array
    from ..report.picture import Picture, image_values, shared_window

    if path.suffix.lower() != ".png":
        arrays = [image.squeeze(0).numpy() for image in images]
        write_array(path, arrays[0] if len(arrays) == 1 else np.stack(arrays))
        return
    for i, image in enumerate(images):
        values = image_values(image)
        window = recipe.display.window or shared_window(None, [values])
        place = path if len(images) == 1 else path.with_stem(f"{path.stem}-{i}")
        _write_picture(place, Picture(values, window, recipe.display.colormap).png())
        note(f"{place}: black is {window[0]:.4g}, white {window[1]:.4g}")


def _write_picture(path: Path, content: bytes) -> None:
    from ..errors import InputError
    from ..files.atomic import write_bytes
    from ..files.guard import reason

    try:
        write_bytes(path, content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {reason(error)}") from error


def _check_save(path: Path, recipe: Recipe) -> None:
    from ..errors import InputError
    from ..files import WRITABLE

    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"--save {path}: the extension must be one of {' '.join(WRITABLE)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--save {path}: there is no folder {path.parent}")
    if len(recipe.solvers) > 1:
        raise InputError("--save writes one image; give one --solver, or take the arrays from the run directory")
