"""PodTopologySpread: how evenly pods are spread over the values of node labels, pod by pod and node by node."""

from __future__ import annotations

import math
from typing import Any

from .label_selectors import selects
from .node_affinity import chosen
from .taint_toleration import welcome

Document = dict[str, Any]
Placed = list[tuple[Document, Document]]
"""Pods with their nodes."""
HOST = "kubernetes.io/hostname"
OWNERS = ("ReplicaSet", "StatefulSet", "ReplicationController")

SKEWED = "node(s) didn't match pod topology spread constraints"
UNLABELLED = "node(s) didn't match pod topology spread constraints (missing required label)"

SYSTEM = [
    {"topologyKey": HOST, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"},
    {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 5, "whenUnsatisfiable": "ScheduleAnyway"},
]


def owner(pod: Document) -> str:
    owners = pod["metadata"].get("ownerReferences", [])
    return next((str(o["uid"]) for o in owners if o.get("controller") and o["kind"] in OWNERS), "")


def selector(constraint: Document, pod: Document) -> Document | None:
    """The constraint's own, narrowed to pods that have the labels named by keys in common with this one."""
    found = constraint.get("labelSelector")
    if found is None:
        return None
    labels = pod["metadata"]["labels"]
    shared = [
        {"key": k, "operator": "In", "values": [labels[k]]} for k in constraint.get("matchLabelKeys", []) if k in labels
    ]
    return found | {"matchExpressions": [*found.get("matchExpressions", []), *shared]}


def counts(constraint: Document, pod: Document, other: Document) -> bool:
    """Whether another pod is counted for a constraint of this one."""
    if other["metadata"]["namespace"] != pod["metadata"]["namespace"] or "deletionTimestamp" in other["metadata"]:
        return False
    if not pod["spec"].get("topologySpreadConstraints"):
        return owner(other) == owner(pod)
    wanted = selector(constraint, pod)
    return wanted is not None and any(wanted.values()) and selects(wanted, other["metadata"]["labels"])


def counts_itself(constraint: Document, pod: Document) -> bool:
    if not pod["spec"].get("topologySpreadConstraints"):
        return True
    return selects(selector(constraint, pod), pod["metadata"]["labels"])


def constraints(pod: Document, action: str, defaults: list[Document]) -> list[Document]:
    own = pod["spec"].get("topologySpreadConstraints") or (defaults if owner(pod) else [])
    return [constraint for constraint in own if constraint["whenUnsatisfiable"] == action]


def has_all(node: Document, wanted: list[Document]) -> bool:
    return all(constraint["topologyKey"] in node["metadata"]["labels"] for constraint in wanted)


def included(constraint: Document, pod: Document, node: Document) -> bool:
    if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and not chosen(pod, node):
        return False
    return constraint.get("nodeTaintsPolicy", "Ignore") == "Ignore" or welcome(pod, node)


def on(node: Document, placed: Placed) -> list[Document]:
    return [pod for pod, where in placed if where is node]


def refusals(pod: Document, nodes: list[Document], placed: Placed, defaults: list[Document]) -> dict[str, str]:
    """By node, why a hard constraint keeps the pod off; no reason if none does."""
    hard = constraints(pod, "DoNotSchedule", defaults)
    found = {}
    for node in nodes:
        reason = ""
        for constraint in hard:
            key = constraint["topologyKey"]
            sums: dict[str, int] = {}
            for each in nodes:
                if has_all(each, hard) and included(constraint, pod, each):
                    number = sum(counts(constraint, pod, other) for other in on(each, placed))
                    value = each["metadata"]["labels"][key]
                    sums[value] = sums.get(value, 0) + number
            least = 0 if len(sums) < max(constraint.get("minDomains") or 1, 1) else min(sums.values())
            if key not in node["metadata"]["labels"]:
                reason = UNLABELLED
                break
            there = sums.get(node["metadata"]["labels"][key], 0)
            if there + counts_itself(constraint, pod) - least > constraint["maxSkew"]:
                reason = SKEWED
                break
        found[node["metadata"]["name"]] = reason
    return found


def scores(
    pod: Document,
    nodes: list[Document],
    feasible: list[Document],
    placed: Placed,
    defaults: list[Document],
    *,
    lenient: bool,
) -> dict[str, int]:
    """By feasible node, 0 to 100: what soft constraints make of it; nothing without any."""
    soft = constraints(pod, "ScheduleAnyway", defaults)
    if not soft:
        return {node["metadata"]["name"]: 0 for node in feasible}
    every = bool(pod["spec"].get("topologySpreadConstraints")) or not lenient
    scored = [node for node in feasible if not every or has_all(node, soft)]
    levels = {node["metadata"]["name"]: 0.0 for node in scored}
    for constraint in soft:
        key = constraint["topologyKey"]
        values = {node["metadata"]["labels"].get(key, "") for node in scored}
        weight = math.log((len(scored) if key == HOST else len(values)) + 2)
        for node in scored:
            labels = node["metadata"]["labels"]
            if key not in labels:
                continue
            if key == HOST:
                number = sum(counts(constraint, pod, other) for other in on(node, placed))
            else:
                number = sum(
                    counts(constraint, pod, other)
                    for each in nodes
                    if (not every or has_all(each, soft)) and included(constraint, pod, each)
                    if each["metadata"]["labels"].get(key, "") == labels[key]
                    for other in on(each, placed)
                )
            levels[node["metadata"]["name"]] += number * weight + (constraint["maxSkew"] - 1)
    whole = {name: math.floor(level + 0.5) for name, level in levels.items()}
    least, most = min(whole.values(), default=0), max(whole.values(), default=0)
    found = {node["metadata"]["name"]: 0 for node in feasible}
    return found | {name: 100 * (most + least - level) // most if most else 100 for name, level in whole.items()}
