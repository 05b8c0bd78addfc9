"""The spread constraints of a pod: those that it names, or else the ones that every replica gets.

Source: Kubernetes documentation, "Pod Topology Spread Constraints", also for the cluster's built-in defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from k8slite.kinds.base import LabelSelectorModel
from k8slite.selectors import Operator, Requirement

from .peers import OWNER, Group, owner_of
from .view import Pod, TopologySpreadConstraint

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"

_OPERATORS: dict[str, Operator] = {"In": "In", "NotIn": "NotIn", "Exists": "Exists", "DoesNotExist": "DoesNotExist"}


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly the pods of a group are to be spread over the values of a node label.

    `hard` keeps a pod off nodes where it would raise the skew above `max_skew`; else such nodes are only less liked.
    `counts_itself` says that the pod is of the group, `default` that it did not ask for the constraint.
    """

    key: str
    max_skew: int
    group: Group
    hard: bool = False
    counts_itself: bool = True
    min_domains: int = 1
    honours_affinity: bool = True
    honours_taints: bool = False
    default: bool = False


def spread_of(pod: Pod, *, selected_by: tuple[Requirement, ...] = ()) -> tuple[Spread, ...]:
    """The constraints of a pod. `selected_by` is what the Services that select it ask for.

    A replica is spread from the other replicas of its owner, and for the sake of Services only if it has none: what a
    Service selects beside them would say the same of every node, or nothing.
    """
    if pod.spec.topology_spread_constraints:
        return tuple(_explicit(pod, constraint) for constraint in pod.spec.topology_spread_constraints)
    if owner := owner_of(pod):
        return _defaults(pod.namespace, (Requirement(OWNER, "In", frozenset({owner})),))
    return _defaults(pod.namespace, selected_by) if selected_by else ()


@lru_cache(maxsize=4096)
def _defaults(namespace: str, requirements: tuple[Requirement, ...]) -> tuple[Spread, ...]:
    group = Group(namespace, requirements)
    return Spread(HOSTNAME, 3, group, default=True), Spread(ZONE, 5, group, default=True)


def _explicit(pod: Pod, constraint: TopologySpreadConstraint) -> Spread:
    labels = pod.metadata.labels
    requirements = _requirements(constraint.label_selector)
    requirements += tuple(
        Requirement(key, "In", frozenset({labels[key]})) for key in constraint.match_label_keys if key in labels
    )
    return Spread(
        constraint.topology_key,
        constraint.max_skew,
        Group(pod.namespace, requirements),
        hard=constraint.when_unsatisfiable == "DoNotSchedule",
        counts_itself=constraint.label_selector is not None and all(r.matches(labels) for r in requirements),
        min_domains=constraint.min_domains or 1,
        honours_affinity=constraint.node_affinity_policy != "Ignore",
        honours_taints=constraint.node_taints_policy == "Honor",
    )


def _requirements(selector: LabelSelectorModel | None) -> tuple[Requirement, ...]:
    if selector is None:
        return ()
    labels = (Requirement(key, "In", frozenset({value})) for key, value in sorted(selector.match_labels.items()))
    expressions = (
        Requirement(item.key, _OPERATORS[item.operator], frozenset(item.values)) for item in selector.match_expressions
    )
    return *labels, *expressions
