"""InterPodAffinity: beside whom a pod must be, must not be and would like to be, pod by pod and node by node."""

from __future__ import annotations

from typing import Any

from .label_selectors import selects

Document = dict[str, Any]
Labels = dict[str, str]
Spaces = dict[str, Labels]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

ALONE = "node(s) didn't match pod affinity rules"
CROWDED = "node(s) didn't match pod anti-affinity rules"
UNWELCOME = "node(s) didn't satisfy existing pods anti-affinity rules"


def rules(pod: Document, kind: str, strength: str) -> list[Document]:
    return list(pod["spec"].get("affinity", {}).get(kind, {}).get(strength, []))


def meant(term: Document, owner: Document, other: Document, spaces: Spaces, *, placed: bool = False) -> bool:
    """Whether the term of one pod is about another.

    A namespace that nobody knows has no labels for the terms of placed pods; those of others are about known ones.
    """
    namespace, named, selector = other["metadata"]["namespace"], term.get("namespaces"), term.get("namespaceSelector")
    if not named and selector is None:
        inside = namespace == owner["metadata"]["namespace"]
    elif namespace in spaces or placed or not any((selector or {}).values()):
        inside = namespace in (named or []) or selects(selector, spaces.get(namespace, {}))
    else:
        inside = namespace in (named or [])
    return inside and selects(term.get("labelSelector"), other["metadata"]["labels"])


def neighbours(node: Document, key: str, placed: list[tuple[Document, Document]]) -> list[Document]:
    """The pods on nodes with the same value of a label; nobody if the node lacks it."""
    if key not in node["metadata"]["labels"]:
        return []
    value = node["metadata"]["labels"][key]
    return [pod for pod, where in placed if where["metadata"]["labels"].get(key) == value]


def refusals(
    pod: Document, nodes: list[Document], placed: list[tuple[Document, Document]], spaces: Spaces
) -> dict[str, str]:
    """By node, the first reason why the pod cannot be there; no reason if it can."""
    affine = rules(pod, "podAffinity", REQUIRED)
    averse = rules(pod, "podAntiAffinity", REQUIRED)
    wanted = [other for other in placed if affine and all(meant(term, pod, other[0], spaces) for term in affine)]
    anywhere = any(term["topologyKey"] in where["metadata"]["labels"] for _, where in wanted for term in affine)
    founds = not anywhere and all(meant(term, pod, pod, spaces) for term in affine)
    found = {}
    for node in nodes:
        labelled = all(term["topologyKey"] in node["metadata"]["labels"] for term in affine)
        accompanied = all(neighbours(node, term["topologyKey"], wanted) for term in affine)
        reason = ""
        if not labelled or not (accompanied or founds):
            reason = ALONE
        elif any(meant(t, pod, other, spaces) for t in averse for other in neighbours(node, t["topologyKey"], placed)):
            reason = CROWDED
        elif any(
            meant(term, other, pod, spaces, placed=True)
            and other in neighbours(node, term["topologyKey"], [(other, where)])
            for other, where in placed
            for term in rules(other, "podAntiAffinity", REQUIRED)
        ):
            reason = UNWELCOME
        found[node["metadata"]["name"]] = reason
    return found


def scores(
    pod: Document,
    nodes: list[Document],
    placed: list[tuple[Document, Document]],
    spaces: Spaces,
    *,
    hard_weight: int = 1,
    only_own_terms: bool = False,
) -> dict[str, int]:
    """By feasible node, 0 to 100."""
    own = [(item["weight"], item["podAffinityTerm"]) for item in rules(pod, "podAffinity", PREFERRED)]
    own += [(-item["weight"], item["podAffinityTerm"]) for item in rules(pod, "podAntiAffinity", PREFERRED)]
    if only_own_terms and not own:
        return {node["metadata"]["name"]: 0 for node in nodes}
    raw = {}
    for node in nodes:
        total = 0
        for other, where in placed:
            theirs = [(hard_weight, term) for term in rules(other, "podAffinity", REQUIRED)]
            theirs += [(item["weight"], item["podAffinityTerm"]) for item in rules(other, "podAffinity", PREFERRED)]
            theirs += [
                (-item["weight"], item["podAffinityTerm"]) for item in rules(other, "podAntiAffinity", PREFERRED)
            ]
            met = [(weight, term) for weight, term in own if meant(term, pod, other, spaces)]
            met += [(weight, term) for weight, term in theirs if meant(term, other, pod, spaces, placed=True)]
            total += sum(weight for weight, term in met if neighbours(node, term["topologyKey"], [(other, where)]))
        raw[node["metadata"]["name"]] = total
    least, most = min(raw.values(), default=0), max(raw.values(), default=0)
    if least == most:
        return dict.fromkeys(raw, 0)
    return {name: int(100.0 * (float(total - least) / float(most - least))) for name, total in raw.items()}
