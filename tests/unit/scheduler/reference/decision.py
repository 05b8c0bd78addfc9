"""A whole decision by the plugins that look at one node at a time: the best nodes, or why there is none."""

from __future__ import annotations

from collections import Counter
from typing import Any

from . import node_affinity, node_ports, taint_toleration
from .image_locality import Known
from .normalize import normalized
from .requests import requested
from .resources import balanced, lacking, least_allocated, usage

Document = dict[str, Any]
WEIGHTS = {"cpu": 1, "memory": 1}


def name_of(node: Document) -> str:
    return str(node["metadata"]["name"])


def reasons(pod: Document, node: Document, placed: list[Document]) -> set[str]:
    """Those of the first filter that rejects the node; empty if it can run the pod."""
    names = named(pod)
    if names is not None and name_of(node) not in names:
        return {"node(s) didn't satisfy plugin(s) [NodeAffinity]"}
    if not taint_toleration.schedulable(pod, node):
        return {"node(s) were unschedulable"}
    if not taint_toleration.welcome(pod, node):
        return {"node(s) had untolerated taint(s)"}
    if not node_affinity.chosen(pod, node):
        return {"node(s) didn't match Pod's node affinity/selector"}
    if not node_ports.free(pod, placed):
        return {"node(s) didn't have free ports for the requested pod ports"}
    return lacking(pod, node, placed)


def named(pod: Document) -> set[str] | None:
    """The nodes in question, if every required term names some."""
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    if node_affinity.REQUIRED not in affinity:
        return None
    found: set[str] = set()
    for term in affinity[node_affinity.REQUIRED]["nodeSelectorTerms"]:
        rules = [set(rule["values"]) for rule in term.get("matchFields", []) if rule["operator"] == "In"]
        if not rules:
            return None
        found |= set.intersection(*rules)
    return found


def message(pod: Document, nodes: list[Document], on: dict[str, list[Document]]) -> str:
    if named(pod) == set():
        return f"0/{len(nodes)} nodes are available: pod affinity terms conflict."
    counts = Counter(reason for node in nodes for reason in reasons(pod, node, on[name_of(node)]))
    texts = sorted(f"{count} {reason}" for reason, count in counts.items())
    return f"0/{len(nodes)} nodes are available: {', '.join(texts)}."


def best(pod: Document, nodes: list[Document], on: dict[str, list[Document]]) -> set[str]:
    """The nodes with the highest score; none if none can run the pod."""
    able = [node for node in nodes if not reasons(pod, node, on[name_of(node)])]
    if named(pod) == set():
        return set()
    total: Counter[str] = Counter({name_of(node): 0 for node in able})
    disliked = {name_of(node): taint_toleration.disliked(pod, node) for node in able}
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    liked = {name_of(node): node_affinity.liked(affinity, node) for node in able}
    known = Known()
    for node in nodes:
        known.tell(name_of(node), node)
    even = any(requested(pod).get(name) for name in WEIGHTS)
    for node in able:
        name = name_of(node)
        total[name] += 3 * normalized(disliked, reverse=True)[name] + 2 * normalized(liked)[name]
        total[name] += least_allocated(usage(pod, node, on[name], list(WEIGHTS)), WEIGHTS)
        total[name] += balanced(pod, node, on[name], list(WEIGHTS)) if even else 0
        total[name] += known.score(pod, name)
    return {name for name, score in total.items() if score == max(total.values())}
