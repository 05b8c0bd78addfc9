"""What extenders say of preemption: on which of the proposed nodes room may be made, and whom that would cost.

A post filter proposes several nodes, the best first. Extenders strike some out, or name other victims on them; the
first proposal that is left is carried out. A victim that has gone by then is not missed.

Source: kube-scheduler's preemption with extenders for the order, and for what a failure means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import metrics
from ..columns import Columns
from ..framework import Judge, PostFilter, Proposal, Proposing, Remedy
from ..judging import Concerned
from ..labels import Mask
from ..shape import Shape
from ..view import Pod
from . import wire
from .extender import Extender, ExtenderError

log = logging.getLogger(__name__)

#: Nodes that extenders are asked about.
MOST = 16
NONE_LEFT = "preemption: no candidate node for preemption"

Whole = Callable[[Pod], Awaitable[dict[str, Any]]]
"""Gets a pod with all its fields. Raises ExtenderError."""


@dataclass(frozen=True, slots=True)
class Preemptor:
    """A pod that fits nowhere, and where it was looked for."""

    pod: Pod
    shape: Shape
    columns: Columns
    judge: Judge


class Except:
    """A judge that does not look at some nodes."""

    def __init__(self, judge: Judge, rows: Sequence[int]) -> None:
        self._judge = judge
        self._rows = rows

    def feasible(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """As the judge says."""
        return self._judge.feasible(pod, shape, columns, rows)

    def resolvable(self, pod: Pod, shape: Shape, columns: Columns) -> npt.NDArray[np.intp]:
        """As the judge says, without the rows."""
        found = self._judge.resolvable(pod, shape, columns)
        return found[~np.isin(found, self._rows)]

    def concerned(self, pod: Pod, shape: Shape) -> Concerned:
        """As the judge says."""
        return self._judge.concerned(pod, shape)


class Agreed:
    """Stands for a post filter whose proposal extenders had their say about."""

    def __init__(self, plugin: Proposing, outcome: Proposal | Remedy) -> None:
        self.name = plugin.name
        self._plugin = plugin
        self._outcome = outcome

    def post_filter(self, pod: Pod, shape: Shape, columns: Columns, judge: Judge) -> Remedy:
        """Carry out what was agreed upon, as far as it is still to be done."""
        metrics.PREEMPTION_ATTEMPTS.add()
        if isinstance(self._outcome, Remedy):
            return self._outcome
        if not columns.has_node(self._outcome.node):
            return Remedy(NONE_LEFT, nominate="")
        there = columns.pods_on(columns.rows[self._outcome.node])
        victims = tuple(victim for victim in self._outcome.victims if victim.uid in there)
        return self._plugin.carry_out(pod, replace(self._outcome, victims=victims))


async def agreed(
    plugins: Sequence[PostFilter], extenders: Sequence[Extender], preemptor: Preemptor, *, whole: Whole
) -> list[PostFilter]:
    """The post filters, those that propose with what is left of that."""
    return [await _agreed(p, extenders, preemptor, whole) if isinstance(p, Proposing) else p for p in plugins]


async def _agreed(plugin: Proposing, extenders: Sequence[Extender], preemptor: Preemptor, whole: Whole) -> Agreed:
    proposals, otherwise = _proposals(plugin, preemptor)
    if not proposals:
        return Agreed(plugin, otherwise)
    try:
        asking = await whole(preemptor.pod)
        for extender in extenders:
            if proposals:
                proposals = await _left(extender, asking, proposals, preemptor.columns, whole)
    except ExtenderError as error:
        return Agreed(plugin, Remedy(f"preemption: {error}"))
    return Agreed(plugin, next(iter(proposals.values()), Remedy(NONE_LEFT, nominate="")))


def _proposals(plugin: Proposing, preemptor: Preemptor) -> tuple[dict[str, Proposal], Remedy]:
    """Proposals by node, the best first, or why there is none."""
    found: dict[str, Proposal] = {}
    rows: list[int] = []
    while True:
        judge = Except(preemptor.judge, rows)
        proposed = plugin.propose(preemptor.pod, preemptor.shape, preemptor.columns, judge)
        if isinstance(proposed, Remedy) or len(found) == MOST:
            return found, proposed if isinstance(proposed, Remedy) else Remedy()
        found[proposed.node] = proposed
        rows.append(preemptor.columns.rows[proposed.node])


async def _left(
    extender: Extender, asking: Mapping[str, Any], proposals: Mapping[str, Proposal], columns: Columns, whole: Whole
) -> dict[str, Proposal]:
    """What one extender leaves of the proposals, in their order. Raises ExtenderError."""
    try:
        pods = None if extender.knows_nodes else await _whole(proposals, whole)
        answer = await extender.ask(extender.preempt_verb, wire.preemption(asking, proposals, pods=pods))
        found = {node: _proposal(node, victims, columns, extender) for node, victims in wire.victims(answer).items()}
    except ExtenderError as error:
        if extender.ignorable:
            log.info("extender %s is left out of preemption, as it may be: %s", extender.url, error)
            return dict(proposals)
        raise
    return {node: found[node] for node in proposals if node in found}


async def _whole(proposals: Mapping[str, Proposal], whole: Whole) -> dict[str, dict[str, Any]]:
    """All victims with all their fields, by UID."""
    victims = {victim.uid: victim for proposal in proposals.values() for victim in proposal.victims}
    return dict(zip(victims, await asyncio.gather(*map(whole, victims.values())), strict=True))


def _proposal(node: str, victims: wire.Victims, columns: Columns, extender: Extender) -> Proposal:
    """An extender's wish as a proposal. Raises ExtenderError for pods that are not there."""
    row = columns.rows.get(node)
    there = columns.pods_on(row) if row is not None else {}
    for uid in victims.uids:
        if uid not in there:
            claim = f"extender: {extender.url} claims to preempt pod (UID: {uid}) on node: {node}"
            raise ExtenderError(f"{claim}, but the pod is not found on that node")
    if not victims.uids:
        raise ExtenderError(f'expected at least one victim pod on node "{node}"')
    return Proposal(node, tuple(there[uid].pod for uid in victims.uids), victims.violations)
