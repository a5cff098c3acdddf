"""Nothing that a file, recipe, plugin or library says steers the terminal; closed streams end quietly."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from wellposed.cli.output import Styled, console, say, table
from wellposed.cli.terminal import GuardedStream, guarded_streams
from wellposed.plain_text import has_control, on_one_line, visible, visible_but_colours

EVIL = "a\x1b]0;title\x07\x1b[31mred\x1b[2J\x9b1A\x7f\u202eb\rc"
RECONSTRUCT = ["reconstruct", "--operator", "toy-blur", "--solver", "toy-adjoint"]
CONTROLS = [*map(chr, [*range(9), *range(11, 32), *range(127, 160)]), "\u2028", "\u202e", "\u2066"]


def steering(text: str) -> list[str]:
    return [c for c in CONTROLS if c in text]


@pytest.mark.parametrize("character", CONTROLS)
def test_control_characters_are_spelt_out(character: str) -> None:
    assert visible(f"a{character}b") == f"a\\u{ord(character):04x}b"
    assert json.loads(f'"{visible(character)}"') == character
    assert has_control(character)


def test_ordinary_text_stays() -> None:
    text = "µ × 12 — «täst»\n\tline 中文 🙂"
    assert visible(text) == visible_but_colours(text) == text
    assert not has_control("µ × 12 — 中文")
    assert has_control("a\nb")
    assert on_one_line("one\n  two\r\nthree") == "one two three"
    assert visible_but_colours("\x1b[1;31mred\x1b[0m\r\x1b[2J") == "\x1b[1;31mred\x1b[0m\r\\u001b[2J"


def test_everything_that_prints_is_guarded(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.text import Text

    with guarded_streams():
        say(EVIL, Styled(EVIL, "cyan"))
        say(EVIL, err=True)
        console().print(EVIL, markup=False)
        made = table(EVIL)
        made.add_row(Text(EVIL))
        console(stderr=True).print(made)
        print(EVIL.replace("\r", ""))
        sys.stderr.writelines([EVIL.replace("\r", "")])
        logging.getLogger("some.library").warning(EVIL.replace("\r", ""))
    assert not isinstance(sys.stdout, GuardedStream)
    for text in capsys.readouterr():
        colourless = text.replace("\x1b[31m", "")  # which the guard of foreign prints lets pass
        assert not steering(colourless), [hex(ord(c)) for c in steering(colourless)]


def test_what_this_package_prints_has_no_colours_but_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded_streams():
        say(EVIL)
        console().print(EVIL, markup=False)
    assert not steering(capsys.readouterr().out)


def test_keys_of_files_and_labels_of_recipes(toy: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "y.h5", "w") as file:
        for name in (EVIL, f"{EVIL}\nwellposed: all is well"):
            file[name] = np.ones((24, 24), np.float32)
    done = toy(*RECONSTRUCT, "--measurement", str(tmp_path / "y.h5"))
    assert done.code == 2
    assert "\\u001b]0;title" in done.errors
    assert not steering(done.errors)
    assert len(done.errors.splitlines()) == 1, "a key cannot pretend to be a sentence of its own"
    np.savez(tmp_path / "y.npz", **{EVIL.replace("\r", ""): np.ones(3), "b": np.ones(4)})
    done = toy(*RECONSTRUCT, "--measurement", str(tmp_path / "y.npz"))
    assert not steering(done.errors)


@pytest.mark.parametrize("label", [EVIL, "two\nlines", "\u202eright", "x" * 101, "ü" * 51])
def test_labels_are_one_short_line(label: str, toy: Any, tmp_path: Path) -> None:
    recipe = {"data": "toy-squares", "operator": "toy-blur", "solvers": {label: "toy-adjoint"}, "metrics": []}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    done = toy("run", str(path), "--out", str(tmp_path / "out"))
    assert done.code == 2
    assert "a label is one line of at most 100 bytes" in done.errors
    assert not steering(done.errors)
    assert not (tmp_path / "out").exists()


def test_the_longest_label_and_name_run(toy: Any, tmp_path: Path) -> None:
    label = "ü" * 50
    np.save(tmp_path / f"{'n' * 245}.npy", np.ones((24, 24), np.float32))
    measurement = ["--measurement", str(tmp_path / f"{'n' * 245}.npy")]
    done = toy(
        "reconstruct", "--operator", "toy-blur", *measurement, "--solver", f"{label}=toy-adjoint", "--out", "out"
    )
    assert done.code == 0, done.errors
    (image,) = Path("out/reconstructions").iterdir()
    assert image.name.startswith("n" * 80)
    assert label in image.name


def command(*arguments: str, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    """With buffered streams, as users have them, whatever the environment of the tests asks for."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-m", "wellposed", *arguments], timeout=60, **{"env": environment, **streams}
    )


@pytest.mark.skipif(os.name != "posix", reason="file descriptors of POSIX")
@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["--version"], ["recipes", "--json"]])
def test_closed_streams_end_quietly(arguments: list[str]) -> None:
    closed = command(*arguments, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    assert (closed.returncode, closed.stderr) == (0, b"")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        done = command(*arguments, stdout=broken, stderr=subprocess.PIPE)
    assert done.returncode in (0, 1)
    assert done.stderr == b""


def test_errors_that_nobody_hears_end_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        done = command("run", "no/such.yaml", stdout=subprocess.PIPE, stderr=broken)
    assert (done.returncode, done.stdout) == (2, b"")


def test_help_keeps_its_colours_on_a_terminal() -> None:
    main, side = pty.openpty()
    done = command("--help", stdout=side, stderr=side, env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"})
    os.close(side)
    text = os.read(main, 1 << 20)
    assert done.returncode == 0
    assert b"\x1b[1" in text
    assert b"\\u001b" not in text


def test_a_guarded_stream_is_the_stream_in_all_else() -> None:
    below = io.StringIO()
    stream = GuardedStream(below)
    assert stream.write(EVIL) == len(EVIL)
    assert stream.isatty() is False
    assert stream.closed is False
    with pytest.raises(TypeError):
        stream.write(b"bytes")  # type: ignore[arg-type]
