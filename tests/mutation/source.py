"""How many slips in the source the tests notice: random single changes, each run against the tests that cover it.

    pip install coverage
    python tests/mutation/source.py --count 400 --seed 1 --jobs 1

It works in a copy of the tree. Which tests run which lines is recorded once per test file; the results of each change
are appended to `results.jsonl` in the state folder, so that a stopped run goes on where it was. `--survivors` tries the
recorded survivors again, after new tests. Changes that cannot be noticed stand, with the reason, in
`source_equivalents.jsonl` beside this file; they are left out of the figures.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import source_runs as runs
from source_changes import Change, changes_of, enclosing

# Behaviour of this house; the kit is tested by components with faults instead (tests/mutants).
LEFT_OUT = ("*/wellposed/testing/*", "*/wellposed/scaffold/files/*", "*/trainers/doubles.py")
NO_TESTS = (
    "tests/test_installation.py", "tests/test_house.py", "tests/test_mutated_recipes.py", "tests/benchmarks/*",
    "core/tests/conformance/*",
)  # fmt: skip
# How often each kind is drawn: what is rare in the text and often wrong is drawn more than its share.
WEIGHTS = {
    "comparison": 13, "any, all": 10, "arithmetic": 13, "constant": 12, "negated condition": 10, "default": 6,
    "swapped arguments": 7, "deleted check": 8, "return value": 5, "exchanged name": 6, "and, or": 5,
    "dropped call": 3, "sign": 2,
}  # fmt: skip
MOST_TESTS = 800  # the limit of seconds binds first
Tests = dict[str, float]


def area(file: str) -> str:
    return "core" if file.startswith("core/") else Path(file).parts[1]


class Coverage:
    """Which tests run a line, the quickest and most specific first."""

    def __init__(self, folder: Path, most_seconds: float) -> None:
        self.most_seconds = most_seconds
        self.seconds: Tests = {}
        self.breadth: Counter[str] = Counter()
        self.lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for path in sorted(folder.glob("*.json")):
            record = json.loads(path.read_text())
            names = [name for name, _ in record["tests"]]
            self.seconds.update(record["tests"])
            for file, lines in record["lines"].items():
                for line, numbers in lines.items():
                    tests = [names[number] for number in numbers]
                    self.lines[file][int(line)].update(tests)
                    self.breadth.update(tests)

    def tests_of(self, change: Change, text: str) -> tuple[list[str], bool]:
        """The tests to run, and whether one of them runs the line itself (else its function, else its file)."""
        lines = self.lines.get(change.file, {})
        ends = range(change.line, change.line + change.before.count("\n") + 1)
        exact = set().union(*(lines.get(line, set()) for line in ends))
        around = enclosing(text)(change.line)
        if around is None:
            return self._chosen(set().union(*lines.values())), bool(lines)
        function = set().union(*(lines.get(line, set()) for line in range(around[0], around[1] + 1)))
        if change.kind == "default" or "jit" in text:
            exact = exact or function
        if change.kind == "default":  # what reads signatures runs no line of the function
            own = change.file.partition("/src/")[0] + "/tests/test_defaults.py"
            exact = exact | {test for test in self.seconds if test.startswith(own)}
        chosen = self._chosen(exact)
        wider = self._chosen(function - exact) if exact else self._chosen(function or set().union(*lines.values()))
        return [*chosen, *wider][:MOST_TESTS], bool(exact)

    def _chosen(self, tests: Iterable[str]) -> list[str]:
        ordered = sorted(tests, key=lambda test: ((self.seconds[test] + 0.01) * self.breadth[test] ** 0.5, test))
        total, chosen = 0.0, []
        for test in ordered[:MOST_TESTS]:
            total += self.seconds[test]
            if chosen and total > self.most_seconds:
                break
            chosen.append(test)
        return chosen


def record_all(folder: Path, tree: Path) -> None:
    """Record each test file whose text or whose sources have changed since."""
    files = [*tree.glob("core/tests/**/test_*.py"), *tree.glob("plugins/*/tests/**/test_*.py")]
    for path in [*sorted(files), *sorted(tree.glob("tests/test_*.py"))]:
        name = str(path.relative_to(tree))
        if any(fnmatch.fnmatch(name, pattern) for pattern in NO_TESTS):
            continue
        stem = f"{name.replace('/', '+')}."
        output = folder / f"{stem}{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}.json"
        if output.exists():
            continue
        for old in folder.glob(f"{stem}*.json"):
            old.unlink()
        print("recording", name, flush=True)
        code = runs.record(name, tree, folder / f"{stem}log", output, seconds=900.0)
        if not output.exists():
            print(f"  not recorded (exit code {code}); see {folder / stem}log", flush=True)


def drawn(changes: list[Change], count: int, seed: int, kinds: list[str]) -> list[Change]:
    """A sample without repetition: first the kind by its weight, then a change of that kind."""
    generator = random.Random(seed)
    pools = {kind: [c for c in changes if c.kind == kind] for kind in kinds}
    for pool in pools.values():
        generator.shuffle(pool)
    chosen: list[Change] = []
    while len(chosen) < count and any(pools.values()):
        left = [kind for kind in kinds if pools[kind]]
        kind = generator.choices(left, [WEIGHTS[k] for k in left])[0]
        change = pools[kind].pop()
        if change.parses((runs.ROOT / change.file).read_text()):
            chosen.append(change)
    return chosen


def parted(tests: list[str]) -> list[list[str]]:
    """The most specific first; last those whose collection alone takes seconds, of everything registered."""
    crossing = [test for test in tests if test.startswith("tests/")]
    own = [test for test in tests if not test.startswith("tests/")]
    return [own[:12], own[12:], crossing]


def tried(change: Change, coverage: Coverage, tree: Path, log: Path) -> dict[str, object]:
    """Put the change into the copy, run what covers it, and put the file back."""
    path = tree / change.file
    text = path.read_text()
    tests, covered = coverage.tests_of(change, text)
    expected = sum(coverage.seconds[test] for test in tests)
    with runs.changed(path, change.applied(text)):
        code, seconds = runs.run_tests(parted(tests), tree, log, 60.0 + 6.0 * expected) if tests else (0, 0.0)
    words = {0: "survived", 1: "killed", 2: "killed", 3: "killed", 4: "collection", 5: "collection", None: "time"}
    return {
        **asdict(change), "key": change.key, "name": change.name, "covered": covered,
        "result": words.get(code, "killed"),
        "tests": len(tests), "seconds": round(seconds, 1), "first": tests[:1],
    }  # fmt: skip


def report(results: list[dict[str, object]], equivalents: set[str]) -> None:
    """Killed of all that could be killed, by area and by kind, then who survived."""
    counted = [r for r in results if r["name"] not in equivalents]
    for title, name in (("area", lambda r: area(r["file"])), ("kind", lambda r: r["kind"])):
        print(f"\n| {title} | killed | of |\n|---|---|---|")
        groups = defaultdict(list)
        for result in counted:
            groups[name(result)].append(result["result"] != "survived")
        for key, killed in sorted(groups.items()):
            print(f"| {key} | {sum(killed)} | {len(killed)} ({100 * sum(killed) / len(killed):.0f} %) |")
    killed = sum(r["result"] != "survived" for r in counted)
    print(f"\nall: {killed} of {len(counted)} killed; {len(results) - len(counted)} equivalent left out\n")
    for r in sorted(counted, key=lambda r: (r["file"], r["line"])):
        if r["result"] == "survived":
            mark = "" if r["covered"] else " (never executed)"
            print(f"{r['file']}:{r['line']} {r['kind']}: {r['before']!r} -> {r['after']!r}{mark}")


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def work(changes: list[Change], state: Path, tree: Path, results: Path, most_seconds: float) -> None:
    coverage = Coverage(state / "coverage", most_seconds)
    for number, change in enumerate(changes, 1):
        result = tried(change, coverage, tree, state / f"log-{os.getpid()}")
        with results.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(f"[{number}/{len(changes)}] {result['result']:9} {result['seconds']:5} s {change.file}:{change.line} "
              f"{change.kind}: {change.before[:50]!r} -> {change.after[:50]!r}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="how many changes to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with a copy of the tree")
    parser.add_argument("--seconds", type=float, default=12.0, help="most seconds of covering tests for each change")
    parser.add_argument("--kinds", nargs="*", choices=sorted(WEIGHTS), default=sorted(WEIGHTS))
    parser.add_argument("--files", default="*", help="only files that match, such as 'plugins/sparse/*'")
    parser.add_argument("--survivors", action="store_true", help="try recorded survivors again instead of a draw")
    parser.add_argument("--report", action="store_true", help="figures of what is recorded; nothing is run")
    parser.add_argument("--state", type=Path, default=Path(tempfile.gettempdir()) / "wellposed-source-changes")
    options = parser.parse_args()
    state, results = options.state, options.state / "results.jsonl"
    (state / "coverage").mkdir(parents=True, exist_ok=True)
    files = [f for folder in runs.sources(runs.ROOT) for f in sorted(folder.rglob("*.py"))]
    names = [str(f.relative_to(runs.ROOT)) for f in files]
    names = [n for n in names if fnmatch.fnmatch(n, options.files) and not any(fnmatch.fnmatch(n, p) for p in LEFT_OUT)]
    changes = [change for name in names for change in changes_of(name, (runs.ROOT / name).read_text())]
    keys = {change.key for change in changes}
    latest = {str(r["key"]): r for r in read_lines(results) if r["key"] in keys}
    known = Path(__file__).with_name("source_equivalents.jsonl")
    equivalents = {str(r["name"]) for r in read_lines(known)}
    if options.survivors:
        again = {key for key, r in latest.items() if r["result"] == "survived" and r["name"] not in equivalents}
        chosen = [change for change in changes if change.key in again]
    else:
        chosen = drawn(changes, options.count, options.seed, options.kinds)
        wanted = {change.key for change in chosen}
        chosen = [change for change in chosen if change.key not in latest]
    if not options.report:
        run(chosen, options.jobs, state, results, options.seconds)
        latest = {str(r["key"]): r for r in read_lines(results) if r["key"] in keys}
    keep = set(latest) if options.survivors or options.report else wanted
    report([latest[key] for key in latest if key in keep], equivalents)


def run(changes: list[Change], jobs: int, state: Path, results: Path, most_seconds: float) -> None:
    """Record what is not yet recorded, then share the changes among `jobs` processes."""
    runs.import_what_is_slow()
    with tempfile.TemporaryDirectory(prefix="source-changes-") as folder:
        trees = [Path(folder) / str(job) for job in range(jobs)]
        for tree in trees:
            runs.copy_tree(tree)
        record_all(state / "coverage", trees[0])
        workers = []
        for job, tree in enumerate(trees):
            pid = os.fork()
            if pid == 0:
                work(changes[job::jobs], state, tree, results, most_seconds)
                os._exit(0)
            workers.append(pid)
        for pid in workers:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(main())
