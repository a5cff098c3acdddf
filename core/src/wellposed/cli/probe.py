"""Trying out plugins in a process of their own, so that one that crashes is named and the rest is tried.

The child is told tasks as JSON and answers line by line when it begins and when it ends one. Where it dies
or hangs, the task in between is to blame, and a new child goes on with the next.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from ..errors import WellposedError
from ..registry import one_line

#: Seconds that one task may take, importing torch included.
PATIENCE = 120.0

Task = dict[str, str]
Answer = dict[str, Any]

# The working directory, which `-c` puts first on the path, is not where plugins are looked for.
_CHILD = "import sys; sys.path[:1] = [p for p in sys.path[:1] if p]; from wellposed.cli.probe import child; child()"


def probe(tasks: list[Task], patience: float = PATIENCE) -> list[Answer]:
    """Do every task in child processes; an answer is `{"error": None or text, …}`, in the order of the tasks."""
    answers: list[Answer] = []
    while len(answers) < len(tasks):
        found, end = _one_child(tasks[len(answers) :], patience)
        answers += found
        if len(answers) < len(tasks):
            answers.append({"error": end})
    return answers


def _one_child(tasks: list[Task], patience: float) -> tuple[list[Answer], str]:
    """The answers of one child, and why there are no more of them."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(tasks))
        process.stdin.close()
    except BrokenPipeError:
        pass
    answers, hung = _listen(process, process.stdout, patience)
    code = process.wait()
    if hung:
        return answers, f"it took longer than {patience:g} s to import"
    if code < 0:
        return answers, f"importing it ended the process ({signal.Signals(-code).name})"
    return answers, f"importing it ended the process (exit code {code})"


def _listen(process: subprocess.Popen, stream: IO[str], patience: float) -> tuple[list[Answer], bool]:
    answers: list[Answer] = []
    hung = threading.Event()

    def give_up() -> None:
        hung.set()
        process.kill()

    timer = threading.Timer(patience, give_up)
    timer.start()
    for line in stream:
        timer.cancel()
        answers.append(json.loads(line))
        timer = threading.Timer(patience, give_up)
        timer.start()
    timer.cancel()
    return answers, hung.is_set()


def child() -> None:
    """What the child does. Whatever plugins print at import goes nowhere: the answers have the pipe alone."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for task in json.load(sys.stdin):
        answers.write(json.dumps(_answer(task)) + "\n")
        answers.flush()


def _answer(task: Task) -> Answer:
    try:
        return {"error": None, **_TASKS[task["sort"]](task)}
    except WellposedError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {one_line(error)}"}


def _component(task: Task) -> Answer:
    from ..registry import registry

    registry().find(task["kind"], task["name"]).load()
    return {}


def _hooks(task: Task) -> Answer:
    from ..hooks import HookManager
    from ..registry import HOOKS_GROUP, plugin_entry_points

    manager = HookManager()
    for point in plugin_entry_points(HOOKS_GROUP):
        if f"{point.dist.name if point.dist else 'unknown'}:{point.name}" == task["name"]:
            manager.load(point)
    if manager.failures:
        return {"error": manager.failures[0].reason}
    return {"hooks": manager.implemented_by(task["name"])}


def _recipe(task: Task) -> Answer:
    from ..recipes import load_recipe

    load_recipe(task["name"])
    return {}


def _weights(task: Task) -> Answer:
    from ..weights import all_weights

    return {"provenance": all_weights()[task["name"]].provenance()}


def _torch(task: Task) -> Answer:
    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "devices": devices,
        "threads": torch.get_num_threads(),
    }


_TASKS: dict[str, Callable[[Task], Answer]] = {
    "component": _component,
    "hooks": _hooks,
    "recipe": _recipe,
    "weights": _weights,
    "torch": _torch,
}
