"""Distributions made for tests: folders that look installed, put on the path of child processes."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wellposed.hooks import hooks
from wellposed.registry import registry

TOY = Path(__file__).parent / "toy"
_MODULE = "wellposed_toy.components"
TOY_ENTRY_POINTS = {
    "wellposed.operators": {"toy-blur": f"{_MODULE}:Blur", "toy-transform": f"{_MODULE}:Transform"},
    "wellposed.datasets": {"toy-squares": f"{_MODULE}:Squares"},
    "wellposed.noise": {"toy-gaussian": f"{_MODULE}:Gaussian"},
    "wellposed.fidelities": {"toy-least-squares": f"{_MODULE}:LeastSquares"},
    "wellposed.iterations": {"toy-descent": f"{_MODULE}:Descent"},
    "wellposed.solvers": {
        "toy-adjoint": f"{_MODULE}:Adjoint",
        "toy-rounded": f"{_MODULE}:Rounded",
        "toy-scaled": f"{_MODULE}:Scaled",
    },
    "wellposed.trainers": {"toy-trainer": f"{_MODULE}:GradientTrainer"},
    "wellposed.metrics": {"toy-psnr": f"{_MODULE}:PSNR", "toy-mse": f"{_MODULE}:MSE"},
    "wellposed.recipes": {"toy": "wellposed_toy:recipes"},
    "wellposed.hooks": {"toy": "wellposed_toy.hooks"},
}


def pretend_installed(
    site: Path,
    name: str,
    entry_points: Mapping[str, Mapping[str, str]],
    *,
    requires: str = "wellposed-core>=0.1,<0.2",
    version: str = "1.0",
) -> None:
    """Write the metadata of a distribution into `site`, as pip would."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    folder.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: {requires}\n"
    )
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {target}" for key, target in points.items()), ""]
    folder.joinpath("entry_points.txt").write_text("\n".join(lines))


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


@dataclass
class CommandLine:
    """Runs `wellposed` with the distributions of the folder `site`, in this process or in one of its own."""

    site: Path

    def __call__(self, *arguments: str) -> Done:
        """Run a command in this process."""
        from wellposed.cli import main

        output, errors, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                main(arguments)
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
        return Done(code, output.getvalue(), errors.getvalue())

    def start(self, *arguments: str, before: str = "", **extra: str) -> subprocess.Popen[str]:
        """Start a command in a process of its own; `before` is code that runs first.

        It heeds an interruption even where the tests run in the background of a shell, whose children ignore it.
        """
        heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        return subprocess.Popen(
            [sys.executable, "-c", f"{heed}\n{before}\nfrom wellposed.cli import main; main()", *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def apart(self, *arguments: str, **options: str) -> Done:
        """Run a command in a process of its own."""
        process = self.start(*arguments, **options)
        output, errors = process.communicate(timeout=240)
        return Done(process.returncode, output, errors)

    def install(
        self, name: str, points: Mapping[str, Mapping[str, str]], modules: Mapping[str, str] | None = None, **facts: str
    ) -> None:
        """Add a distribution, with the sources of its modules."""
        pretend_installed(self.site, name, points, **facts)
        for module, source in (modules or {}).items():
            (self.site / f"{module}.py").write_text(source)
        importlib.invalidate_caches()
        registry.cache_clear()
        hooks.cache_clear()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """The command line in an empty folder, with nothing installed beside what is."""
    for folder in ("site", "work"):
        (tmp_path / folder).mkdir()
    site = tmp_path / "site"
    monkeypatch.chdir(tmp_path / "work")
    given = os.environ.get("PYTHONPATH")  # where the package under test may come from
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(TOY), *([given] if given else [])]))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(TOY))
    yield CommandLine(site)
    registry.cache_clear()
    hooks.cache_clear()


@pytest.fixture
def toy(bare: CommandLine) -> CommandLine:
    """The command line with the toy plugin installed."""
    bare.install("wellposed-toy", TOY_ENTRY_POINTS)
    return bare
