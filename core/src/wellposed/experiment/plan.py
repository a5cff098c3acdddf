"""From a recipe to an experiment: everything is built and checked before any work is done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..dataset import Dataset, Sample, Simulated
from ..driver import Monitor
from ..errors import InputError, RecipeError, WellposedError
from ..metric import Metric
from ..operator import LinearOperator, Operator
from ..problem import Problem
from ..recipes import Recipe, build
from ..seeding import seeded
from ..solution import Solution
from ..solver import Solver
from ..stopping import Progress
from .monitors import OBJECTIVE, against, has_objective, objective, warn_of_missing_value
from .outcome import READING, Done, Failed, Outcomes, digest_of, placed, reason_of
from .results import Failure, LeftOut, Pool, Results, Row, SampleResult

Observer = Callable[[str, str, Progress], None]


def prepare(recipe: Recipe) -> Experiment:
    """Build every component that `recipe` names; raises `RecipeError` and other `InputError`s."""
    device = check_device(recipe.device)
    dtype = {"single": torch.float32, "double": torch.float64}[recipe.precision]
    data: Dataset = build("datasets", recipe.data, "data")
    operator = None if recipe.operator is None else build("operators", recipe.operator, "operator")
    noise = None if recipe.noise is None else build("noise", recipe.noise, "noise")
    if len(data) == 0:
        raise RecipeError("the dataset holds no sample", "data")
    if operator is not None:
        data = Simulated(data, operator, noise, recipe.seed).to(device, dtype)
    solvers = {label: build("solvers", node, f"solvers.{label}") for label, node in recipe.solvers.items()}
    metrics = _build_metrics(recipe.metrics)
    for part in solvers.values():
        part.to(device=device, dtype=dtype)
    experiment = Experiment(recipe, data, operator, solvers, metrics, device, dtype)
    experiment.check()
    return experiment


@dataclass
class Experiment:
    """A recipe, built. `run` reconstructs `recipe.samples` samples of the data with every solver."""

    recipe: Recipe
    data: Dataset
    operator: Operator | None
    solvers: dict[str, Solver]
    metrics: dict[str, Metric]
    device: torch.device
    dtype: torch.dtype

    def check(self) -> None:
        """Pose the first sample's problem to every solver; raises an `InputError` where one does not fit."""
        sample = self.first()
        self._monitors(sample)
        for label, solver in self.solvers.items():
            try:
                problem = self.problem(sample, solver)
                solver.check(problem)
            except InputError as error:
                raise RecipeError(str(error), f"solvers.{label}") from error
            if OBJECTIVE in self.recipe.monitors:
                warn_of_missing_value(label, problem)

    @property
    def count(self) -> int:
        """How many samples are reconstructed."""
        asked = self.recipe.samples
        return len(self.data) if asked == "all" else min(asked, len(self.data))

    def run(
        self,
        observer: Observer | None = None,
        finished: Callable[[Row], None] | None = None,
        images: int | None = None,
    ) -> Results:
        """Reconstruct and measure. `observer(solver, sample, progress)` sees every iteration, `finished` every row.

        A sample that cannot be read is left out; a solver that raises on a sample costs no other solver its result.
        Where nothing succeeds, the first failure is raised. `images`: the images of so many samples are kept, by
        default of all.
        """
        outcomes = Outcomes()
        failure = self.work(outcomes, range(self.count), observer, finished, images)
        return self.gathered(outcomes, images, failure)

    def work(
        self,
        outcomes: Outcomes,
        indices: Sequence[int],
        observer: Observer | None = None,
        finished: Callable[[Row], None] | None = None,
        images: int | None = None,
    ) -> Exception | None:
        """Reconstruct the samples `indices`, leaving out what `outcomes` has already; returns the first failure.

        What is found depends on the recipe and the sample alone, neither on the other samples nor on their order.
        """
        first: Exception | None = None
        for index in indices:
            try:
                sample = self.sample(index)
                _warm_up(sample)
            except Exception as error:
                first = first or error
                outcomes.keep(index, READING, Failed(f"sample {index}", reason_of(error)))
                continue
            digest, kept = digest_of(sample), images is None or index < images
            for number, label in enumerate(self.solvers):
                done = outcomes.finished(index, number, digest, kept)
                if done is None:
                    try:
                        row, image = self._reconstruct(index, label, sample, observer)
                    except Exception as error:
                        first = first or placed(error, label, sample)
                        outcomes.keep(index, number, Failed(sample.name, reason_of(error)))
                        continue
                    done = Done(row, image if kept else None)
                    outcomes.keep(index, number, done, digest)
                if finished is not None:
                    finished(done.row)
        return first

    def gathered(self, outcomes: Outcomes, images: int | None = None, failure: Exception | None = None) -> Results:
        """The results of all samples, once all were worked on.

        Raises `failure`, or the first that is known, where nothing succeeded.
        """
        results = Results([], [], self._better(), self._pools(), estimated=dict(self.data.estimated()))
        for index in range(self.count):
            unread = outcomes.find(index, READING)
            if isinstance(unread, Failed):
                results.left_out.append(LeftOut(unread.sample, unread.reason))
                continue
            shown: dict[str, Tensor] = {}
            for number, label in enumerate(self.solvers):
                outcome = outcomes.find(index, number)
                if isinstance(outcome, Done):
                    results.rows.append(outcome.row)
                    if outcome.image is not None:
                        shown[label] = outcome.image
                elif outcome is not None:
                    results.failures.append(Failure(label, outcome.sample, outcome.reason))
                else:
                    raise WellposedError(f"the result of solver {label} on sample {index} is missing; run again")
            if shown and (images is None or index < images):
                sample = self.sample(index)
                truth = None if sample.truth is None else _cpu(sample.truth)
                results.samples.append(SampleResult(sample.name, truth, _cpu(_given(sample)), shown))
        if not results.rows:
            raise failure or _nothing_succeeded(results)
        return results

    def first(self) -> Sample:
        """The first sample that can be read; raises what the first one does where none can."""
        failure: InputError | None = None
        for index in range(self.count):
            try:
                return self.sample(index)
            except InputError as error:
                failure = failure or error
        raise failure or RecipeError("the dataset holds no sample", "data")

    def sample(self, index: int) -> Sample:
        """Sample `index` on the experiment's device and in its precision, with its operator."""
        sample = self.data[index]
        operator = sample.operator or self.operator
        if operator is None:
            raise RecipeError("the samples bring no operator of their own; name one", "operator")
        if sample.measurement is None:
            raise RecipeError(f"sample {sample.name} has neither a measurement nor an image", "data")
        return replace(
            sample,
            truth=None if sample.truth is None else self._move(sample.truth),
            measurement=self._move(sample.measurement),
            operator=operator.to(device=self.device, dtype=self.dtype),
        )

    def problem(self, sample: Sample, solver: Solver) -> Problem:
        """The problem that `solver` solves for `sample`."""
        assert sample.operator is not None
        return solver.pose(_given(sample)[None], sample.operator)

    def _reconstruct(self, index: int, label: str, sample: Sample, observer: Observer | None) -> tuple[Row, Tensor]:
        solver = self.solvers[label]
        problem = self.problem(sample, solver)
        monitors = self._monitors(sample)
        if not has_objective(problem):
            monitors.pop(OBJECTIVE, None)
        watch = None if observer is None else (lambda progress: observer(label, sample.name, progress))
        with torch.no_grad(), seeded(self.recipe.seed, index, device=self.device):
            self._synchronize()
            start = time.perf_counter()
            solution = solver.solve(problem, monitors=monitors or None, observer=watch)
            self._synchronize()
            seconds = time.perf_counter() - start
        row = _row(label, sample.name, self._measure(solution.x, sample), seconds, solution)
        return replace(row, weights=self._weights(sample)), _cpu(solution.x[0])

    def _measure(self, x: Tensor, sample: Sample) -> dict[str, float]:
        if sample.truth is None:
            return {}
        if sample.truth.shape != x.shape[1:]:
            raise InputError(
                f"sample {sample.name}: the reference has shape {tuple(sample.truth.shape)} and the "
                f"reconstruction {tuple(x.shape[1:])}; they must agree to be compared"
            )
        return {name: float(metric(x, sample.truth[None])) for name, metric in self.metrics.items()}

    def _weights(self, sample: Sample) -> dict[str, float]:
        if sample.truth is None:
            return {}
        return {name: float(metric.weight(sample.truth[None])) for name, metric in self.metrics.items()}

    def _better(self) -> dict[str, str]:
        return {name: metric.better for name, metric in self.metrics.items()}

    def _pools(self) -> dict[str, Pool]:
        return {name: metric.pooled for name, metric in self.metrics.items()}

    def _monitors(self, sample: Sample) -> dict[str, Monitor]:
        """What the recipe asks to be measured along the iterations: the objective, or a metric."""
        found: dict[str, Monitor] = {}
        for name in self.recipe.monitors:
            if name == OBJECTIVE:
                found[name] = objective
            elif name not in self.metrics:
                raise RecipeError(f"{name!r} is neither 'objective' nor one of the recipe's metrics", "monitors")
            elif sample.truth is not None:
                found[name] = against(sample.truth[None], self.metrics[name])
        return found

    def _move(self, tensor: Tensor) -> Tensor:
        dtype = self.dtype.to_complex() if tensor.is_complex() else self.dtype
        _check_scale(tensor, self.recipe.precision, torch.finfo(self.dtype).max ** 0.5)
        return tensor.to(device=self.device, dtype=dtype)

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def check_device(name: str) -> torch.device:
    """A torch device by name; raises `InputError` where it is unknown or absent."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # `meta` and its like hold no numbers
    except (RuntimeError, AssertionError) as error:
        available = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used here ({reason}); available: {available}") from None
    return device


def _nothing_succeeded(results: Results) -> WellposedError:
    """Where the failures happened in other processes."""
    said = [f"{each.sample}: {each.reason}" for each in results.left_out]
    said += [f"sample {each.sample}, solver {each.solver}: {each.reason}" for each in results.failures]
    return WellposedError(said[0] if said else "there is nothing to reconstruct")


def _warm_up(sample: Sample) -> None:
    """Apply the operator once, so that what it builds at first use is not timed as the first solver's work."""
    operator = sample.operator
    assert operator is not None
    with torch.no_grad():
        operator(_start(sample, operator))
        if isinstance(operator, LinearOperator):
            operator.adjoint(_given(sample)[None])


def _check_scale(tensor: Tensor, precision: str, most: float) -> None:
    """Refuse numbers whose squares overflow: no norm, residual or objective of them could be computed."""
    magnitude = tensor.abs()
    largest = float(torch.where(magnitude.isfinite(), magnitude, 0).max()) if tensor.numel() else 0.0
    if largest > most:
        raise InputError(
            f"the data holds numbers up to {largest:.3g}, whose squares {precision} precision does not hold; mend or "
            f"rescale them{', or set precision to double' if precision == 'single' else ''}"
        )


def _start(sample: Sample, operator: Operator) -> Tensor:
    y = _given(sample)
    return operator.domain.zeros(1, y.device, y.dtype.to_real())


def _given(sample: Sample) -> Tensor:
    assert sample.measurement is not None
    return sample.measurement


def _build_metrics(nodes: Sequence[object]) -> dict[str, Metric]:
    built: dict[str, Metric] = {}
    for i, node in enumerate(nodes):
        name = _metric_name(node)
        if name in built:
            raise RecipeError(f"{name!r} is among the metrics twice; results are found by that name", f"metrics.{i}")
        built[name] = build("metrics", node, f"metrics.{i}")
    return built


def _metric_name(node: object) -> str:
    return str(node["use"] if isinstance(node, dict) and "use" in node else node)


def _row(label: str, sample: str, metrics: dict[str, float], seconds: float, solution: Solution) -> Row:
    history = {
        name: [(count, values[0]) for count, values in records if math.isfinite(values[0])]
        for name, records in solution.history.items()
    }
    bound = None if solution.bound is None else float(solution.bound[0])
    return Row(label, sample, metrics, seconds, solution.iterations[0], solution.verdict[0], bound, history)


def _cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu()
