"""Trying out plugins in a process of their own, so that one that crashes is named and the rest is tried.

The child is told tasks as JSON and answers line by line when it begins and when it ends one. Where it dies
or hangs, the task in between is to blame, and a new child goes on with the next.
"""

from __future__ import annotations

import contextlib
import importlib
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
from ..registry.summary import UnreadableTarget

#: Seconds that one task may take once torch is imported, and that importing torch may take.
PATIENCE, PATIENCE_FOR_TORCH = 30.0, 120.0

Task = dict[str, str]
Answer = dict[str, Any]

#: What a child says when it has imported torch, which counts against no task.
_READY: Answer = {"ready": True}

# The working directory, which `-c` puts first on the path, is not where plugins are looked for.
_CHILD = "import sys; sys.path[:1] = [p for p in sys.path[:1] if p]; from wellposed.cli.probe import child; child()"


def probe(tasks: list[Task], patience: float = PATIENCE) -> list[Answer]:
    """Do every task in child processes; an answer is `{"error": None or text, …}`, in the order of the tasks.

    Of a package that hangs at import nothing more is tried, so that the time does not grow with its components.
    """
    answers: list[Answer | None] = [None] * len(tasks)
    hanging: dict[str, str] = {}
    while True:
        for index, task in enumerate(tasks):
            if answers[index] is None and task.get("package", "") in hanging:
                answers[index] = {"error": hanging[task["package"]]}
        open_ = [index for index, answer in enumerate(answers) if answer is None]
        if not open_:
            return [answer for answer in answers if answer is not None]
        found, end, hung = _one_child([tasks[index] for index in open_], patience)
        for index, answer in zip(open_, found, strict=False):
            answers[index] = answer
        if len(found) < len(open_):
            guilty = open_[len(found)]
            answers[guilty] = {"error": end}
            if hung and tasks[guilty].get("package"):
                package = tasks[guilty]["package"]
                hanging[package] = (
                    f"{tasks[guilty]['distribution']}: its package {package} hangs, the rest is not tried"
                )


def _one_child(tasks: list[Task], patience: float) -> tuple[list[Answer], str, bool]:
    """The answers of one child, why there are no more of them, and whether that is because it hung."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(tasks))
        process.stdin.close()
    except BrokenPipeError:
        pass
    try:
        answers, hung = _listen(process, process.stdout, patience)
    finally:  # whatever it started holds the pipe and would outlive this command
        _kill(process)
    code = process.wait()
    if hung:
        return answers, f"it took longer than {patience:g} s to import", True
    if code < 0:
        return answers, f"importing it ended the process ({signal.Signals(-code).name})", False
    return answers, f"importing it ended the process (exit code {code})", False


def _kill(process: subprocess.Popen) -> None:
    """End a child and the processes that it started, and say nothing where they have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _listen(process: subprocess.Popen, stream: IO[str], patience: float) -> tuple[list[Answer], bool]:
    """Read answers until the child ends, or until it says nothing for too long."""
    answers: list[Answer] = []
    hung = threading.Event()

    def give_up() -> None:
        hung.set()
        _kill(process)

    timer = threading.Timer(PATIENCE_FOR_TORCH, give_up)
    timer.start()
    try:
        for line in stream:
            timer.cancel()
            answer = json.loads(line)
            if answer != _READY:
                answers.append(answer)
            timer = threading.Timer(patience, give_up)
            timer.start()
    finally:
        timer.cancel()
    return answers, hung.is_set()


def child() -> None:
    """What the child does. Whatever plugins print at import goes nowhere: the answers have the pipe alone."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    tasks = json.load(sys.stdin)
    if tasks[0]["sort"] != "torch":
        with contextlib.suppress(Exception):
            importlib.import_module("torch")
        _say(answers, _READY)
    for task in tasks:
        _say(answers, _answer(task))
    os._exit(0)  # not by way of the interpreter's end, where threads of plugins may hang


def _say(answers: IO[str], answer: Answer) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _answer(task: Task) -> Answer:
    try:
        return {"error": None, **_TASKS[task["sort"]](task)}
    except (WellposedError, UnreadableTarget) as error:
        return {"error": str(error)}
    except (Exception, SystemExit) as error:
        return {"error": f"{type(error).__name__}: {one_line(error)}"}


def _component(task: Task) -> Answer:
    from ..registry import registry

    return {"lacking": registry().find(task["kind"], task["name"]).load().lacking()}


def _hooks(task: Task) -> Answer:
    from ..hooks import HookManager
    from ..registry import HOOKS_GROUP, plugin_entry_points

    manager = HookManager()
    for point in plugin_entry_points(HOOKS_GROUP):
        if point.full_name == task["name"]:
            manager.load(point)
    if manager.failures:
        return {"error": manager.failures[0].reason}
    return {"hooks": manager.implemented_by(task["name"])}


def _recipe_folder(task: Task) -> Answer:
    from ..recipes.find import shipped_by
    from ..registry import RECIPES_GROUP, plugin_entry_points

    for point in plugin_entry_points(RECIPES_GROUP):
        if point.full_name == task["name"]:
            shipped_by(point)
    return {}


def _recipe(task: Task) -> Answer:
    from ..recipes import load_recipe

    load_recipe(task["name"])
    return {}


def _weights(task: Task) -> Answer:
    from ..registry import WEIGHTS_GROUP, plugin_entry_points
    from ..registry.weights import shipped_as

    point = next(p for p in plugin_entry_points(WEIGHTS_GROUP) if p.full_name == task["name"])
    return {"provenance": shipped_as(point).provenance()}


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
    "recipes": _recipe_folder,
    "recipe": _recipe,
    "weights": _weights,
    "torch": _torch,
}
