"""Pods told apart by namespace and labels (kinds), and what selectors make of them (groups).

Whoever keeps many selectors must not ask all of them about a pod: an index finds those that ask for a label which the
pod has. A selector is filed under one of its covers: label values (in given namespaces, or anywhere) of which each pod
that it selects has exactly one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from k8slite.kinds.base import LabelSelectorModel
from k8slite.selectors import Operator, Requirement

T = TypeVar("T")

#: Namespaces, or values of a label, that a cover names one by one at most.
_FEW = 16
_ANYWHERE = ""

Pair = tuple[str, str, str]
"""Namespace, key and value of a label; no namespace for all of them, no key for whatever is in the namespace."""
Cover = tuple[Pair, ...]

_OPERATORS: dict[str, Operator] = {"In": "In", "NotIn": "NotIn", "Exists": "Exists", "DoesNotExist": "DoesNotExist"}


class Kind(NamedTuple):
    """What tells pods apart for every selector, and whether they are on their way out."""

    namespace: str
    labels: frozenset[tuple[str, str]]
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The pods in these namespaces (None for all) that meet all requirements; without any, every pod there.

    `leaving` says that pods on their way out count too.
    """

    namespaces: frozenset[str] | None
    requirements: tuple[Requirement, ...]
    leaving: bool = False

    def selects(self, kind: Kind, labels: Mapping[str, str]) -> bool:
        """Whether pods of a kind, which has these labels, belong to it."""
        if self.namespaces is not None and kind.namespace not in self.namespaces:
            return False
        return (self.leaving or not kind.leaving) and all(each.matches(labels) for each in self.requirements)


NOBODY = Group(frozenset(), ())


def requirements_of(selector: LabelSelectorModel) -> tuple[Requirement, ...]:
    """What a selector asks for; nothing if it selects everything."""
    labels = (Requirement(key, "In", frozenset({value})) for key, value in sorted(selector.match_labels.items()))
    expressions = (
        Requirement(item.key, _OPERATORS[item.operator], frozenset(item.values)) for item in selector.match_expressions
    )
    return *labels, *expressions


def covers(namespaces: frozenset[str] | None, requirements: tuple[Requirement, ...]) -> Iterator[Cover]:
    """The ways to file a selector."""
    spaces = namespaces if namespaces is not None and len(namespaces) <= _FEW else (_ANYWHERE,)
    yield tuple((space, "", "") for space in spaces)
    for requirement in requirements:
        if requirement.operator == "In" and len(requirement.values) <= _FEW:
            yield tuple((space, requirement.key, value) for space in spaces for value in requirement.values)


def pairs_of(kind: Kind) -> Iterator[Pair]:
    """All that a kind can be found by in its namespace."""
    yield kind.namespace, "", ""
    for key, value in kind.labels:
        yield kind.namespace, key, value


def is_wide(cover: Cover) -> bool:
    """Whether a cover is about all namespaces."""
    return any(space == _ANYWHERE for space, _, _ in cover)


class Index(Generic[T]):
    """Things filed under covers, found by pods. An item is told from others by identity or as it defines itself."""

    def __init__(self) -> None:
        self._filed: dict[Pair, dict[T, None]] = {}
        self._wide = 0

    def __bool__(self) -> bool:
        return bool(self._filed)

    def choose(self, namespaces: frozenset[str] | None, requirements: tuple[Requirement, ...]) -> Cover:
        """The cover that the fewest share."""
        return min(covers(namespaces, requirements), key=lambda cover: sum(map(self._users, cover)))

    def _users(self, pair: Pair) -> int:
        # What has no key is looked at for each pod of the namespace: the last resort.
        return len(self._filed.get(pair, ())) if pair[1] else 1 << 30

    def add(self, item: T, cover: Cover) -> None:
        """File an item."""
        self._wide += is_wide(cover)
        for pair in cover:
            self._filed.setdefault(pair, {})[item] = None

    def discard(self, item: T, cover: Cover) -> None:
        """Take an item out, which was filed under that cover."""
        self._wide -= is_wide(cover)
        for pair in cover:
            found = self._filed[pair]
            del found[item]
            if not found:
                del self._filed[pair]

    def about(self, namespace: str, labels: Mapping[str, str]) -> list[T]:
        """The items that may select pods with these labels, each once; no others can."""
        found, filed = list[T](), self._filed
        for space in (namespace, _ANYWHERE) if self._wide else (namespace,):
            found += filed.get((space, "", ""), ())
            for key, value in labels.items():
                found += filed.get((space, key, value), ())
        return found
