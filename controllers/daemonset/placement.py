"""On which nodes a DaemonSet's pod should run, and on which it may stay.

The scheduler binds these pods, so what is asked here is what it asks of a node alone: name, selector, required affinity
and taints. Room for the pod is its business.

Source: Kubernetes documentation, "DaemonSet" (how Daemon Pods are scheduled); kubernetes pkg/controller/daemon
(NodeShouldRunDaemonPod) and its util (AddOrUpdateDaemonPodTolerations).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from k8slite.kinds.core import Node, Taint
from k8slite.kinds.placement import NodeSelector, Toleration
from k8slite.kinds.template import RawTemplate
from k8slite.node_affinity import Term, term_of
from k8slite.selectors import Requirement

from .. import taints

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_ADDED = (
    (taints.NOT_READY, taints.NO_EXECUTE),
    (taints.UNREACHABLE, taints.NO_EXECUTE),
    (taints.DISK_PRESSURE, taints.NO_SCHEDULE),
    (taints.MEMORY_PRESSURE, taints.NO_SCHEDULE),
    (taints.PID_PRESSURE, taints.NO_SCHEDULE),
    (taints.UNSCHEDULABLE, taints.NO_SCHEDULE),
)
"""What a daemon puts up with: nodes in trouble need their daemons most."""
_OF_HOST_NETWORK = (taints.NETWORK_UNAVAILABLE, taints.NO_SCHEDULE)


class Fit(Enum):
    """What a DaemonSet has to do with a node."""

    NO = 0
    """Its pods there must go."""
    STAY = 1
    """A pod that is there may stay, none is made."""
    RUN = 2
    """A pod should run there."""


@dataclass(frozen=True, slots=True)
class Tolerated:
    """A toleration, as far as it bears on where a pod may run."""

    key: str
    operator: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a pod asks of its node. `required` is None without a rule; no term among them means no node."""

    node_name: str = ""
    selector: tuple[Requirement, ...] = ()
    required: tuple[Term, ...] | None = None
    tolerations: tuple[Tolerated, ...] = ()


def tolerations_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The tolerations of a pod spec with those that every daemon has; its own that say the same are replaced."""
    added = [*_ADDED, _OF_HOST_NETWORK] if spec.get("hostNetwork") else _ADDED
    wanted = {(key, "Exists", "", effect): _exists(key, effect) for key, effect in added}
    kept = []
    for toleration in spec.get("tolerations") or ():
        said = tuple(toleration.get(field) or "" for field in ("key", "operator", "value", "effect"))
        kept.append(wanted.pop(said) if said in wanted else toleration)
    return kept + list(wanted.values())


def _exists(key: str, effect: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists", "effect": effect}


def rules_of(template: RawTemplate) -> Rules:
    """What the pods of a template ask of their nodes."""
    spec = template.spec
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)
    return Rules(
        node_name=spec.get("nodeName") or "",
        selector=tuple(
            Requirement(key, "In", frozenset({value}))
            for key, value in sorted((spec.get("nodeSelector") or {}).items())
        ),
        required=None if required is None else tuple(map(term_of, _terms(required))),
        tolerations=tuple(map(_tolerated, tolerations_of(spec))),
    )


def _terms(required: dict[str, Any]) -> Sequence[Any]:
    return NodeSelector.model_validate(required).node_selector_terms


def _tolerated(document: dict[str, Any]) -> Tolerated:
    read = Toleration.model_validate(document)
    return Tolerated(read.key, read.operator, read.value, read.effect)


def fit(rules: Rules, node: Node) -> Fit:
    """Decide for one node."""
    if rules.node_name and rules.node_name != node.name:
        return Fit.NO
    labels = node.metadata.labels
    if not all(requirement.matches(labels) for requirement in rules.selector):
        return Fit.NO
    if rules.required is not None and not any(term.matches(labels, name=node.name) for term in rules.required):
        return Fit.NO
    repelled = {taint.effect for taint in node.spec.taints if _repels(taint, rules)}
    if not repelled:
        return Fit.RUN
    return Fit.NO if taints.NO_EXECUTE in repelled else Fit.STAY


def _repels(taint: Taint, rules: Rules) -> bool:
    if taint.effect not in (taints.NO_SCHEDULE, taints.NO_EXECUTE):
        return False
    return not any(taints.tolerates(toleration, taint) for toleration in rules.tolerations)


def pinned(affinity: dict[str, Any] | None, *, node: str) -> dict[str, Any]:
    """The affinity for the pod of one node: the required terms, which this node meets, become its name."""
    affinity = affinity or {}
    to_nodes = affinity.get("nodeAffinity") or {}
    named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {**(to_nodes.get(_REQUIRED) or {}), "nodeSelectorTerms": [named]}
    return {**affinity, "nodeAffinity": {**to_nodes, _REQUIRED: required}}
