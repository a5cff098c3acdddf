"""The README does what it says: its Python runs, its recipe runs, its table is the command's."""

from __future__ import annotations

import re
from pathlib import Path

from command_line import run_command

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_block_runs_and_reconstructs(capsys) -> None:
    (code,) = blocks("python")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert float(re.search(r"tensor\(\[([\d.]+)", capsys.readouterr().out).group(1)) > 25


def test_the_recipe_runs_with_the_override_of_the_text(tmp_path: Path) -> None:
    (recipe,) = blocks("yaml")
    path = tmp_path / "my.yaml"
    path.write_text(recipe)
    done = run_command("run", str(path), "solvers.TV.stop.iterations=20", "--out", str(tmp_path / "run"))
    assert done.code == 0, done.errors
    assert (tmp_path / "run" / "report.html").is_file()


def test_the_command_for_own_measurements_runs(tmp_path: Path) -> None:
    import numpy as np

    (command,) = [b for b in blocks("sh") if "reconstruct" in b]
    words = command.replace("\\\n", " ").replace("'", "").split()[1:]
    np.save(tmp_path / "sinogram.npy", np.ones((180, 365), dtype=np.float32))
    words[words.index("sinogram.npy")] = str(tmp_path / "sinogram.npy")
    words[words.index("result")] = str(tmp_path / "result")
    done = run_command(*words)
    assert done.code == 0, done.errors


def test_the_table_of_components_is_the_one_that_the_command_prints() -> None:
    shown = re.search(r"<!-- components -->\n(.*?)\n<!-- end of components -->", README, flags=re.DOTALL)
    assert shown is not None
    done = run_command("list", "--markdown")
    assert shown.group(1).strip() == done.output.strip()
