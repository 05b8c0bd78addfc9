"""What a new level means for pods that are there already: they stay, and whoever sets the level is told of them.

One pod of each owner is looked at before the others, as pods of one owner are alike; at most so many, for so long.

Source: pod-security-admission, admission/admission.go (EvaluatePodsInNamespace).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from k8slite.clock import Clock

from ...lookup import Entry, Rows
from .evaluation import Evaluator
from .levels import Standard

MOST = 3000
"""Pods."""
LONGEST = 1.0
"""Seconds."""
_AT_A_TIME = 50
"""Pods between which other requests get their turn."""


async def warnings(
    rows: Rows, namespace: str, standard: Standard, *, evaluator: Evaluator, exempt: Collection[str], clock: Clock
) -> list[str]:
    """What to tell of the pods of a namespace; those of `exempt` runtime classes are not looked at."""
    deadline = clock.monotonic() + LONGEST
    entries = await _in_order(rows.select(namespace=namespace), exempt)
    violating: dict[str, list[str]] = {}
    checked = 0
    for entry in entries[:MOST]:
        pod = entry.document
        verdict = evaluator.evaluate(standard, pod["metadata"], pod["spec"])
        if not verdict.allowed:
            violating.setdefault(verdict.reason, []).append(pod["metadata"]["name"])
        checked += 1
        if clock.monotonic() > deadline:
            break
        if not checked % _AT_A_TIME:
            await asyncio.sleep(0)
    found = []
    if checked < len(entries):
        found.append(
            f"new PodSecurity enforce level only checked against the first {checked} of {len(entries)} existing pods"
        )
    if violating:
        found.append(f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{standard}"')
    return found + sorted(f"{_some(names)}: {reason}" for reason, names in violating.items())


async def _in_order(entries: Collection[Entry], exempt: Collection[str]) -> list[Entry]:
    """The first pod of every owner and those without, then the others."""
    first: list[Entry] = []
    others: list[Entry] = []
    owners: set[str] = set()
    for index, entry in enumerate(entries):
        pod = entry.document
        if pod["spec"].get("runtimeClassName") not in exempt:
            references = pod["metadata"].get("ownerReferences") or ()
            owner = next((one.get("uid") for one in references if one.get("controller")), None)
            (others if owner in owners else first).append(entry)
            if owner:
                owners.add(owner)
        if not index % _AT_A_TIME:
            await asyncio.sleep(0)
    return first + others


def _some(names: Collection[str]) -> str:
    match len(names) - 1:
        case 0:
            return min(names)
        case 1:
            return f"{min(names)} (and 1 other pod)"
        case more:
            return f"{min(names)} (and {more} other pods)"
