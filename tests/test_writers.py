"""One function writes files: no module of the core or of a plugin opens a file to write by itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Calls that put something into a file, or a file in the place of another.
WRITERS = {
    "write_text",
    "write_bytes",
    "rename",
    "save",
    "savez",
    "savez_compressed",
    "savetxt",
    "savefig",
    "save_file",
    "save_pretrained",
    "savemat",
    "tofile",
    "dump",
    "imwrite",
    "imsave",
    "mkstemp",
    "NamedTemporaryFile",
    "copy2",
    "copyfile",
    "copytree",
    "move",
    "symlink_to",
    "touch",
}
#: Names that are writers on these objects only.
ONLY_ON = {"save": {"np", "numpy", "torch", "image"}, "dump": {"json", "yaml"}}

#: Who may, and why.
ALLOWED = {
    ("core/src/wellposed/files/atomic.py", "os.replace"): "the function itself",
    ("core/src/wellposed/files/atomic.py", "part.open"): "the function itself",
    ("core/src/wellposed/files/lines.py", "path.open"): "logs are appended to, whole lines or none",
    ("core/src/wellposed/files/numpy_files.py", "np.save"): "into the stream that `atomic` gives",
    ("core/src/wellposed/files/numpy_files.py", "archive.open"): "into the stream that `atomic` gives",
    ("core/src/wellposed/files/images.py", "tifffile.imwrite"): "into the stream that `atomic` gives",
    ("core/src/wellposed/files/matlab.py", "scipy_io.savemat"): "into the stream that `atomic` gives",
    ("core/src/wellposed/runs/contents.py", "np.save"): "into the stream that `atomic` gives",
    ("core/src/wellposed/runs/contents.py", "run.write_text"): "`RunDirectory.write_text`, which is atomic",
    ("core/src/wellposed/report/figure.py", "figure.savefig"): "into the stream that `atomic` gives",
    ("core/src/wellposed/report/picture.py", "image.save"): "into memory",
    ("core/src/wellposed/runs/directory.py", "os.rename"): "folders, which are renamed whole",
    ("core/src/wellposed/scaffold/__init__.py", "staging.rename"): "a folder, which is renamed whole",
    ("core/src/wellposed/cli/terminal.py", "open"): "the null device in the place of a closed stream",
}


def test_no_module_writes_files_by_itself() -> None:
    found = {
        (str(path.relative_to(ROOT)), call)
        for path in [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
        for call in writing_calls(ast.parse(path.read_text(encoding="utf-8")))
    }
    strange = {f"{path}: {call}" for path, call in found if (path, call) not in ALLOWED}
    assert not strange, "write with wellposed.files.atomic, append with wellposed.files.lines"
    assert not set(ALLOWED) - found, "an exception that nobody needs any more"


def test_the_search_finds_writers() -> None:
    source = """
        open(p, "w"); open(p, mode="ab"); p.open("r+b"); open(p); p.open("rb"); p.open()
        p.write_text("x"); os.replace(a, b); "x".replace("a", "b"); np.save(p, x); json.dump(x, f); write_text(p, "x")
        os.open(p, os.O_WRONLY | os.O_CREAT); p.replace(q)
    """
    calls = sorted(writing_calls(ast.parse("\n".join(line.strip() for line in source.splitlines()))))
    expected = ["json.dump", "np.save", "open", "open", "os.open", "os.replace", "p.open", "p.replace", "p.write_text"]
    assert calls == expected


def writing_calls(tree: ast.AST) -> Iterator[str]:
    """`object.method` of each call that writes a file; plain names are functions imported from `files.atomic`."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return (ast.unparse(call.func) for call in calls if _is_writer(call))


def _is_writer(call: ast.Call) -> bool:
    owner, _, method = ast.unparse(call.func).rpartition(".")
    if method == "open":
        return _writes(call) or _by_flags(owner, ast.unparse(call))
    if method == "replace":  # of a path; that of texts has two arguments, that of dataclasses names them
        return owner == "os" or (len(call.args) == 1 and not call.keywords)
    return bool(owner) and method in WRITERS and owner in ONLY_ON.get(method, {owner})


def _writes(call: ast.Call) -> bool:
    """Whether a call of `open` has a mode that writes."""
    given = [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
    modes = [a.value for a in given if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return any(set(mode) <= set("rwxabt+") and set(mode) & set("wxa+") for mode in modes)


def _by_flags(owner: str, call: str) -> bool:
    """Whether a call is `os.open` for writing, of something else than the null device."""
    return owner == "os" and ("O_WRONLY" in call or "O_RDWR" in call) and "devnull" not in call
