"""What the pods on nodes say of other pods: each distinct term once, with the number of pods by row that have it.

Thousands of pods share a term, so that a pod that is to be placed is compared with terms and not with pods; and with
those only that ask for a label which it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from .affinity import PodAffinity, PodTerm
from .change import Change
from .columns import Placed
from .groups import Cover, Index
from .namespaces import Namespaces
from .row_counts import RowCounts
from .view import Node, Pod, affinity_of


class Rule(Enum):
    """What a term says of the pods that it selects."""

    REQUIRED = auto()
    FORBIDDEN = auto()
    PREFERRED = auto()


@dataclass(slots=True, eq=False)
class Standing:
    """A term that pods have, how often by row, and who needs to know (`users`, distinct affinities that name it)."""

    rule: Rule
    weight: int
    term: PodTerm
    pods: RowCounts
    cover: Cover = ()
    users: int = 0


@dataclass(slots=True, eq=False)
class _Held:
    """What the pods of one affinity say, and how many there are."""

    terms: tuple[Standing, ...]
    pods: int = 0


_Said = tuple[Rule, int, PodTerm]


class StandingTerms:
    """A `Column`: all terms of placed pods. `version` is another whenever there are other terms than before."""

    def __init__(self) -> None:
        self.version = 0
        self.strict: Index[Standing] = Index()
        """What keeps other pods away."""
        self.mild: Index[Standing] = Index()
        """What makes places better or worse for other pods."""
        self._capacity = 0
        self._held: dict[PodAffinity, _Held] = {}
        self._standing: dict[_Said, Standing] = {}

    def set_node(self, row: int, node: Node | None) -> Change:
        """Nothing of nodes is kept."""
        return Change.NOTHING

    def account(self, placed: Placed, sign: int) -> None:
        """A pod comes (1) or goes (-1)."""
        affinity = affinity_of(placed.pod)
        if affinity is None:
            return
        held = self._held.get(affinity) or self._hold(affinity)
        for standing in held.terms:
            standing.pods.add(placed.row, sign)
        held.pods += sign
        if not held.pods:
            del self._held[affinity]
            for standing in held.terms:
                self._release(standing)

    def grow(self, capacity: int) -> None:
        """There are that many rows now."""
        self._capacity = capacity
        for standing in self._standing.values():
            standing.pods.grow(capacity)

    def forbidding(self, pod: Pod, namespaces: Namespaces) -> list[Standing]:
        """The terms that keep a pod away from where they stand."""
        return _about(pod, self.strict, namespaces)

    def judging(self, pod: Pod, namespaces: Namespaces) -> list[Standing]:
        """The terms that make places better or worse for a pod."""
        return _about(pod, self.mild, namespaces)

    def _hold(self, affinity: PodAffinity) -> _Held:
        held = self._held[affinity] = _Held(tuple(self._stand(said) for said in _said(affinity)))
        return held

    def _stand(self, said: _Said) -> Standing:
        standing = self._standing.get(said)
        if standing is None:
            rule, weight, term = said
            standing = self._standing[said] = Standing(rule, weight, term, RowCounts(self._capacity))
            self.version += 1
            if term.requirements is not None:
                index = self._index(rule)
                standing.cover = index.choose(None if term.spaces is not None else term.namespaces, term.requirements)
                index.add(standing, standing.cover)
        standing.users += 1
        return standing

    def _release(self, standing: Standing) -> None:
        standing.users -= 1
        if not standing.users:
            self.version += 1
            del self._standing[standing.rule, standing.weight, standing.term]
            self._index(standing.rule).discard(standing, standing.cover)

    def _index(self, rule: Rule) -> Index[Standing]:
        return self.strict if rule is Rule.FORBIDDEN else self.mild


def _about(pod: Pod, index: Index[Standing], namespaces: Namespaces) -> list[Standing]:
    if not index:
        return []
    space, labels = pod.metadata.namespace, pod.metadata.labels
    return [found for found in index.about(space, labels) if found.term.selects(space, labels, namespaces)]


def _said(affinity: PodAffinity) -> Iterator[_Said]:
    for term in affinity.required:
        yield Rule.REQUIRED, 0, term
    for term in affinity.forbidden:
        yield Rule.FORBIDDEN, 0, term
    for weight, term in affinity.preferred:
        yield Rule.PREFERRED, weight, term
