"""The kinds of components: their entry-point groups and the interface that each must implement."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind: `name` is plural as in the entry-point group, `label` what a sentence calls one of it."""

    name: str
    label: str
    interface: str

    @property
    def group(self) -> str:
        return f"wellposed.{self.name}"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("operators", "operator", "wellposed.operator:Operator"),
        Kind("patterns", "pattern", "wellposed.pattern:Pattern"),
        Kind("noise", "noise model", "wellposed.noise:Noise"),
        Kind("fidelities", "fidelity", "wellposed.fidelity:Fidelity"),
        Kind("regularizers", "regularizer", "wellposed.regularizer:Regularizer"),
        Kind("iterations", "iteration", "wellposed.iteration:Iteration"),
        Kind("accelerations", "acceleration", "wellposed.acceleration:Acceleration"),
        Kind("gradients", "gradient", "wellposed.gradient:Gradient"),
        Kind("stopping", "stopping rule", "wellposed.stopping:Rule"),
        Kind("networks", "network", "wellposed.network:Network"),
        Kind("solvers", "solver", "wellposed.solver:Solver"),
        Kind("trainers", "trainer", "wellposed.trainer:Trainer"),
        Kind("datasets", "dataset", "wellposed.dataset:Dataset"),
        Kind("metrics", "metric", "wellposed.metric:Metric"),
    )
}

#: Groups that are no components: trained weights, folders of recipes, and hooks.
WEIGHTS_GROUP = "wellposed.weights"
RECIPES_GROUP = "wellposed.recipes"
HOOKS_GROUP = "wellposed.hooks"

#: Every group that is read.
GROUPS = (*(kind.group for kind in KINDS.values()), WEIGHTS_GROUP, RECIPES_GROUP, HOOKS_GROUP)
