"""All extenders that a pod concerns, asked about it: which nodes they allow, and how much they like them.

Filters are asked one after the other, each about what the one before let pass; then all are asked for their scores at
once. An extender that fails fails the pod's attempt, unless it may be ignored; scores that fail are left out.

Source: kube-scheduler's scheduling cycle for the order, and for what a failure means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k8slite.informer import Informer

from . import wire
from .extender import Extender, ExtenderError
from .wire import WholeNode

log = logging.getLogger(__name__)

#: Extenders score 0–10, plugins 0–100.
SCALE = 10


@dataclass(frozen=True, slots=True)
class Opinion:
    """What extenders say of a pod: the nodes that they allow, why they do not allow others, and their scores."""

    allowed: frozenset[str]
    reasons: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


async def consult(
    extenders: Sequence[Extender], pod: Mapping[str, Any], names: Sequence[str], *, nodes: Informer[WholeNode] | None
) -> Opinion:
    """Ask about a pod and the nodes that can run it. `nodes` is there if an extender wants them whole.

    Raises ExtenderError.
    """

    def question(extender: Extender, candidates: Iterable[str]) -> bytes:
        if extender.knows_nodes or nodes is None:
            return wire.question(pod, names=candidates, nodes=None)
        return wire.question(pod, names=None, nodes=[node for name in candidates if (node := nodes.get(name))])

    reasons: dict[str, str] = {}
    for extender in extenders:
        if not names:
            break
        if not extender.filter_verb:
            continue
        try:
            answer = await extender.ask(extender.filter_verb, question(extender, names))
            found = _passed(extender, names, wire.filtered(answer, by_name=extender.knows_nodes))
        except ExtenderError as error:
            if extender.ignorable:
                log.info("extender %s is left out, as it may be: %s", extender.url, error)
                continue
            raise
        kept = set(found.passed or ())
        silent = f'node(s) were rejected by extender "{extender.url}"'
        reasons |= {name: found.failed.get(name, silent) for name in names if name not in kept}
        names = [name for name in names if name in kept]
    asked = [extender for extender in extenders if extender.prioritize_verb and len(names) > 1]
    total = dict.fromkeys(names, 0.0)
    for scores in await asyncio.gather(*(_scores(extender, question(extender, names)) for extender in asked)):
        for name, score in scores.items():
            if name in total:
                total[name] += score
    return Opinion(frozenset(names), reasons, total if asked else {})


def _passed(extender: Extender, names: Sequence[str], found: wire.Filtered) -> wire.Filtered:
    """The answer, if it names no node that was not asked about. Raises ExtenderError."""
    asked = set(names)
    for name in found.passed or ():
        if name not in asked:
            claim = f'extender "{extender.url}" claims a filtered node "{name}"'
            raise ExtenderError(f"{claim} which is not found in the input node list")
    return found


async def _scores(extender: Extender, question: bytes) -> dict[str, float]:
    """Weighted scores; none if they cannot be had."""
    try:
        found = wire.scores(await extender.ask(extender.prioritize_verb, question))
    except ExtenderError as error:
        log.info("extender %s gives no scores: %s", extender.url, error)
        return {}
    return {name: max(score, 0.0) * extender.weight * SCALE for name, score in found.items()}
