"""The arguments of NodeResourcesFit.

Source: Kubernetes reference, "kube-scheduler Configuration (v1)"; kube-scheduler, apis/config/validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from k8slite import labels
from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from ..arguments import Part, read, refuse
from ..configuration.values import Int32, Int64, Text
from ..framework import Args, Scores
from .allocation import DEFAULT, MAX_POINT, Allocation, Line, Resource, least_allocated, most_allocated

RATIO = "RequestedToCapacityRatio"
STRATEGIES = ("LeastAllocated", "MostAllocated", RATIO)
MAX_WEIGHT = 100


class ResourceSpec(Part):
    """A resource and its weight; 0 is 1."""

    name: Text = ""
    weight: Int64 = 0


class UtilizationShapePoint(Part):
    """A point of a line."""

    utilization: Int32 = 0
    score: Int32 = 0


class CapacityRatio(Part):
    """A line by its points."""

    shape: list[UtilizationShapePoint] = []


class ScoringStrategy(Part):
    """How nodes are scored."""

    type: Text = ""
    resources: list[ResourceSpec] = []
    requested_to_capacity_ratio: CapacityRatio | None = None


class NodeResourcesFitArgs(Part):
    """What NodeResourcesFit is told."""

    ignored_resources: list[Text] = []
    ignored_resource_groups: list[Text] = []
    scoring_strategy: ScoringStrategy = ScoringStrategy(type="LeastAllocated")

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What counts for the score, and how much."""
        listed = self.scoring_strategy.resources
        return tuple(Resource(spec.name, spec.weight or 1) for spec in listed) or DEFAULT

    @property
    def strategy(self) -> Callable[[Allocation], Scores]:
        """The score itself."""
        match self.scoring_strategy:
            case ScoringStrategy(type="MostAllocated"):
                return most_allocated
            case ScoringStrategy(requested_to_capacity_ratio=CapacityRatio(shape=points)):
                return Line.through([(point.utilization, point.score) for point in points])
        return least_allocated


def fit_arguments(args: Args) -> NodeResourcesFitArgs:
    """Read NodeResourcesFitArgs. Raises BadArguments."""
    found = read(NodeResourcesFitArgs, args)
    refuse([*_ignored(found), *_strategy(found.scoring_strategy, "scoringStrategy")])
    return found


def _ignored(args: NodeResourcesFitArgs) -> Iterator[Cause]:
    for index, name in enumerate(args.ignored_resources):
        field = f"ignoredResources[{index}]"
        yield from (invalid_value(field, name, problem) for problem in labels.key_problems(name))
    for index, name in enumerate(args.ignored_resource_groups):
        field = f"ignoredResourceGroups[{index}]"
        if "/" in name:
            yield invalid_value(field, name, "resource group name can't contain '/'")
        yield from (invalid_value(field, name, problem) for problem in labels.key_problems(name))


def _strategy(strategy: ScoringStrategy, field: str) -> Iterator[Cause]:
    if strategy.type not in STRATEGIES:
        yield not_supported(f"{field}.type", strategy.type, STRATEGIES)
    for index, spec in enumerate(strategy.resources):
        if not 0 <= spec.weight <= MAX_WEIGHT:
            problem = f"resource weight of {spec.name} not in valid range (0, {MAX_WEIGHT}]"
            yield invalid_value(f"{field}.resources[{index}].weight", spec.weight, problem)
    ratio, path = strategy.requested_to_capacity_ratio, f"{field}.requestedToCapacityRatio"
    if strategy.type != RATIO:
        if ratio is not None:
            yield forbidden_field(path, f"must be nil when type is not {RATIO}")
    elif ratio is None:
        yield required(path, f"must be specified when type is {RATIO}")
    else:
        yield from _points(ratio.shape, f"{path}.shape")


def _points(points: Sequence[UtilizationShapePoint], field: str) -> Iterator[Cause]:
    if not points:
        yield required(field, "at least one point must be specified")
    for index in range(1, len(points)):
        if points[index - 1].utilization >= points[index].utilization:
            problem = "values must be sorted in increasing order"
            yield invalid_value(f"{field}[{index}].utilization", points[index].utilization, problem)
            break
    for index, point in enumerate(points):
        for name, value, most in (("utilization", point.utilization, 100), ("score", point.score, MAX_POINT)):
            if not 0 <= value <= most:
                yield invalid_value(f"{field}[{index}].{name}", value, f"not in valid range [0, {most}]")
