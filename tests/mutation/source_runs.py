"""Runs of pytest in forks of one process that has already imported what is slow to import, over a copy of the tree."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SLOW_IMPORTS = (
    "torch", "torch._dynamo", "numpy", "scipy.sparse.linalg", "scipy.ndimage", "scipy.optimize", "numba", "pydantic",
    "pytest", "typer", "rich.progress", "matplotlib.pyplot", "yaml", "h5py", "safetensors.torch", "PIL.Image",
    "skimage.metrics", "jinja2", "pywt", "accelerate",
)  # fmt: skip
PYTEST = ["-q", "--no-header", "-p", "no:cacheprovider", "--override-ini=addopts="]
USUAL = ["--import-mode=importlib", "--strict-markers"]
_STAMPS = itertools.count(2_000_000_000)  # seconds that no other file has
MEMORY = 8 << 30  # a changed loop bound must not take the machine's memory


def import_what_is_slow() -> None:
    """Third parties only: the house itself has to be imported anew, changed, in every fork."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    for name in SLOW_IMPORTS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    if any(name.partition(".")[0].startswith("wellposed") for name in sys.modules):
        raise SystemExit("the tree under test was imported before the forks")


def copy_tree(target: Path) -> None:
    """What git tracks or would track, so that no change ever touches the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def sources(tree: Path) -> list[Path]:
    return [tree / "core/src", *sorted(tree.glob("plugins/*/src"))]


def forked(work: Callable[[], int], tree: Path, log: Path, seconds: float) -> tuple[int | None, float]:
    """The exit code of `work` run in a fork at `tree`, None past the time limit; and the seconds it took."""
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        _settle(tree, log)
        code = 3
        try:
            code = int(work())
        finally:
            sys.stdout.flush()
            os._exit(code)
    code = _wait(pid, started + seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # whatever the tests left running
    return code, time.monotonic() - started


def _settle(tree: Path, log: Path) -> None:
    descriptor = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    os.chdir(tree)
    paths = [str(path) for path in sources(tree)]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # the tests' own child processes see the changed tree as well
    sys.path[:] = [*paths, *(p for p in sys.path if not p.startswith(str(ROOT)))]
    importlib.invalidate_caches()


def _wait(pid: int, deadline: float) -> int | None:
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.02)


def run_tests(parts: Iterable[list[str]], tree: Path, log: Path, seconds: float) -> tuple[int | None, float]:
    """Those tests, part after part, until the first fails; each part costs its own collection."""

    def work() -> int:
        import pytest

        codes = (pytest.main([*PYTEST, *USUAL, "-x", "--tb=line", *tests]) for tests in parts if tests)
        return next((int(code) for code in codes if code != 0), 0)

    return forked(work, tree, log, seconds)


@contextlib.contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """The file with another text, and a time of its own, so that no stale bytecode is taken for it."""
    before, was = path.read_text(), path.stat()
    path.write_text(text)
    stamp = next(_STAMPS)
    os.utime(path, (stamp, stamp))
    try:
        yield
    finally:
        path.write_text(before)
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


class _Recorder:
    """A pytest plugin: a coverage context for each test, its outcome and its seconds."""

    def __init__(self, coverage: Any) -> None:
        self.coverage, self.seconds, self.failed = coverage, {}, set()  # type: ignore[var-annotated]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logfinish(self) -> None:
        self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.outcome != "passed":
            self.failed.add(report.nodeid)


def record(test_file: str, tree: Path, log: Path, output: Path, seconds: float) -> int | None:
    """Write which lines each passing test of one file runs: {"tests": {id: seconds}, "lines": {file: {line: [id]}}}."""

    def work() -> int:
        import coverage
        import pytest

        meter = coverage.Coverage(data_file=None, config_file=False, source=[str(path) for path in sources(tree)])
        recorder = _Recorder(meter)
        meter.start()
        code = pytest.main(
            [*PYTEST, *USUAL, "-m", "not slow and not benchmark and not gpu", test_file], plugins=[recorder]
        )
        meter.stop()
        data = meter.get_data()
        passed = {test: round(s, 3) for test, s in recorder.seconds.items() if test not in recorder.failed}
        numbers = {test: number for number, test in enumerate(passed)}
        lines = {}
        for file in data.measured_files():
            found = data.contexts_by_lineno(file)
            known = {line: [numbers[c] for c in contexts if c in numbers] for line, contexts in found.items()}
            lines[str(Path(file).relative_to(tree))] = {line: tests for line, tests in known.items() if tests}
        output.write_text(json.dumps({"tests": list(passed.items()), "lines": lines}))
        return int(code)

    return forked(work, tree, log, seconds)[0]
