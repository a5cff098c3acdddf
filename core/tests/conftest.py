"""Distributions made for tests: folders that look installed, put on the path of child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

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


@dataclass
class CommandLine:
    """Runs `wellposed` in a process of its own, with the distributions of `site` and the folder `cwd`."""

    site: Path
    cwd: Path
    path: list[Path] = field(default_factory=list)

    def environment(self, **extra: str) -> dict[str, str]:
        path = os.pathsep.join(map(str, [self.site, *self.path]))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COLUMNS", "FORCE_COLOR", "WELLPOSED_"))}
        return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **extra}

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from wellposed.cli import main; main()", *arguments],
            cwd=self.cwd,
            env=self.environment(**extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **extra)
        output, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(list(arguments), process.returncode, output, errors)


@pytest.fixture
def bare(tmp_path: Path) -> CommandLine:
    """The command line with nothing added."""
    cwd = tmp_path / "work"
    cwd.mkdir()
    (tmp_path / "site").mkdir()
    return CommandLine(tmp_path / "site", cwd)


@pytest.fixture
def toy(bare: CommandLine) -> CommandLine:
    """The command line with the toy plugin installed."""
    pretend_installed(bare.site, "wellposed-toy", TOY_ENTRY_POINTS)
    bare.path.append(TOY)
    return bare


@pytest.fixture
def add_distribution(bare: CommandLine) -> Callable[..., None]:
    """Adds a distribution with the source of its one module: `add_distribution(name, points, module, source)`."""

    def add(name: str, points: Mapping[str, Mapping[str, str]], module: str = "", source: str = "", **facts: str) -> None:
        pretend_installed(bare.site, name, points, **facts)
        if module:
            (bare.site / f"{module}.py").write_text(source)

    return add
