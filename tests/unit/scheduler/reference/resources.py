"""NodeResourcesFit and NodeResourcesBalancedAllocation: what is left on a node, and how full a pod would make it."""

from __future__ import annotations

import itertools
import math
from typing import Any

from .requests import amounts, for_its_own_score, for_later_scores, requested, whole

Document = dict[str, Any]


def has(node: Document, name: str) -> int:
    found = amounts(node["status"]["allocatable"]).get(name)
    return 0 if found is None else whole(name, found)


def lacking(pod: Document, node: Document, placed: list[Document], ignored: set[str] = frozenset()) -> set[str]:  # type: ignore[assignment]
    """Why the pod does not fit; empty if it does. `ignored` are resources, or the groups before their slash."""
    reasons = set()
    if len(placed) + 1 > has(node, "pods"):
        reasons.add("Too many pods")
    for name, amount in requested(pod).items():
        if "/" in name and "kubernetes.io/" not in name and ignored & {name, name.partition("/")[0]}:
            continue
        if amount + sum(requested(other).get(name, 0) for other in placed) > has(node, name):
            reasons.add(f"Insufficient {name}")
    return reasons


def usage(pod: Document, node: Document, placed: list[Document], names: list[str]) -> dict[str, tuple[int, int]]:
    """What would be taken, and what there is, of each resource that counts for the score."""
    found = {}
    for name in names:
        if name in ("cpu", "memory"):
            taken = for_its_own_score(pod, name) + sum(for_later_scores(other, name) for other in placed)
        else:
            taken = requested(pod).get(name, 0) + sum(requested(other).get(name, 0) for other in placed)
        if has(node, name) and (requested(pod).get(name) or name in ("cpu", "memory", "ephemeral-storage")):
            found[name] = (taken, has(node, name))
    return found


def least_allocated(shares: dict[str, tuple[int, int]], weights: dict[str, int]) -> int:
    scores = {name: (there - taken) * 100 // there if taken <= there else 0 for name, (taken, there) in shares.items()}
    return mean(scores, weights)


def most_allocated(shares: dict[str, tuple[int, int]], weights: dict[str, int]) -> int:
    return mean({name: min(taken, there) * 100 // there for name, (taken, there) in shares.items()}, weights)


def mean(scores: dict[str, int], weights: dict[str, int]) -> int:
    total = sum(weights[name] for name in scores)
    return sum(score * weights[name] for name, score in scores.items()) // total if total else 0


def capacity_ratio(shares: dict[str, tuple[int, int]], weights: dict[str, int], points: list[tuple[int, int]]) -> int:
    scores = {name: line(min(taken, there) * 100 // there, points) for name, (taken, there) in shares.items()}
    scores = {name: score for name, score in scores.items() if score > 0}
    total = sum(weights[name] for name in scores)
    if not total:
        return 0
    return math.floor(sum(score * weights[name] for name, score in scores.items()) / total + 0.5)


def line(utilization: int, points: list[tuple[int, int]]) -> int:
    """Through the points, whose scores go to 10; whole numbers, cut off and not rounded."""
    if utilization <= points[0][0]:
        return points[0][1] * 10
    for (left, low), (right, high) in itertools.pairwise(points):
        if utilization <= right:
            return low * 10 + math.trunc((high - low) * 10 * (utilization - left) / (right - left))
    return points[-1][1] * 10


def balanced(pod: Document, node: Document, placed: list[Document], names: list[str]) -> int:
    """How much more even the pod makes the use of the node's resources: 75 is no difference."""
    wanted = requested(pod)
    before, after = [], []
    for name in names:
        there = has(node, name)
        if there and (wanted.get(name) or name in ("cpu", "memory", "ephemeral-storage")):
            taken = sum(requested(other).get(name, 0) for other in placed)
            before.append(min(taken / there, 1.0))
            after.append(min((taken + wanted.get(name, 0)) / there, 1.0))
    return 50 + (50 + evenness(after) - evenness(before)) // 2


def evenness(shares: list[float]) -> int:
    deviation = 0.0
    if len(shares) == 2:
        deviation = abs((shares[0] - shares[1]) / 2)
    elif len(shares) > 2:
        middle = squares = 0.0
        for share in shares:
            middle = middle + share
        middle = middle / len(shares)
        for share in shares:
            squares = squares + (share - middle) * (share - middle)
        deviation = math.sqrt(squares / len(shares))
    return int((1 - deviation) * 100)
