"""How a pod is to be spread: by the constraints that it names, or else as the scheduler is configured for replicas.

Source: Kubernetes documentation, "Pod Topology Spread Constraints", also for the cluster's built-in defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from k8slite.selectors import Requirement

from .groups import NOBODY, Group, requirements_of
from .peers import OWNER, owner_of
from .view import Pod, TopologySpreadConstraint

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly the pods of a group are to be spread over the values of a node label.

    `hard` keeps a pod off nodes where it would raise the skew above `max_skew`; else such nodes are only less liked.
    `counts_itself` says that the pod is of the group, which is that of its replicas if it is None.
    """

    key: str
    max_skew: int
    group: Group | None = None
    hard: bool = False
    counts_itself: bool = True
    min_domains: int = 1
    honours_affinity: bool = True
    honours_taints: bool = False


@dataclass(frozen=True, slots=True)
class Spreading:
    """The constraints of a pod, and those who are its replicas in case that it has none; None if nobody is."""

    own: tuple[Spread, ...] = ()
    replicas: Group | None = None


NO_SPREADING = Spreading()

#: What every cluster does for replicas unless its configuration says otherwise.
SYSTEM_DEFAULTS = (Spread(HOSTNAME, 3), Spread(ZONE, 5))


def spreading_of(pod: Pod, *, selected_by: tuple[Requirement, ...] = ()) -> Spreading:
    """How a pod is to be spread. `selected_by` is what the Services that select it ask for.

    A replica is spread from the other replicas of its owner, and for the sake of Services only if it has none: what a
    Service selects beside them would say the same of every node, or nothing.
    """
    if pod.spec.topology_spread_constraints:
        return Spreading(tuple(_explicit(pod, constraint) for constraint in pod.spec.topology_spread_constraints))
    if owner := owner_of(pod):
        return _from(pod.namespace, (Requirement(OWNER, "In", frozenset({owner})),))
    return _from(pod.namespace, selected_by) if selected_by else NO_SPREADING


@lru_cache(maxsize=4096)
def _from(namespace: str, requirements: tuple[Requirement, ...]) -> Spreading:
    return Spreading(replicas=Group(frozenset({namespace}), requirements))


def _explicit(pod: Pod, constraint: TopologySpreadConstraint) -> Spread:
    labels, selector = pod.metadata.labels, constraint.label_selector
    requirements: tuple[Requirement, ...] = ()
    if selector is not None:
        keys = (key for key in constraint.match_label_keys if key in labels)
        requirements = *requirements_of(selector), *(Requirement(key, "In", frozenset({labels[key]})) for key in keys)
    return Spread(
        constraint.topology_key,
        constraint.max_skew,
        # A selector that selects everything counts nothing, although the pod itself meets it.
        Group(frozenset({pod.namespace}), requirements) if requirements else NOBODY,
        hard=constraint.when_unsatisfiable == "DoNotSchedule",
        counts_itself=selector is not None and all(requirement.matches(labels) for requirement in requirements),
        min_domains=constraint.min_domains or 1,
        honours_affinity=constraint.node_affinity_policy != "Ignore",
        honours_taints=constraint.node_taints_policy == "Honor",
    )
