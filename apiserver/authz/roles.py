"""Roles and bindings as authorization reads them, and what an aggregated role gathers. Pure but for what is remembered.

An object is read once for each of its revisions: where thousands of bindings stand, one more costs that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from k8slite.selectors import LabelSelector, from_object

from ..lookup import Entry
from ..strategies.base import Document
from . import rules
from .rules import Rule

Subject = tuple[str, str]
"""`User` or `Group` and its name; a service account is the user that it acts as."""
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Role:
    """A Role or ClusterRole. `selectors` is None unless it gathers the rules of others."""

    namespace: str
    name: str
    rules: tuple[Rule, ...]
    labels: Mapping[str, str]
    selectors: tuple[LabelSelector, ...] | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding or ClusterRoleBinding: `kind` and `role` are what it refers to."""

    namespace: str
    name: str
    kind: str
    role: str
    subjects: tuple[Subject, ...]


def role_of(document: Document) -> Role:
    """Read a Role or ClusterRole."""
    metadata = document["metadata"]
    selectors = (document.get("aggregationRule") or {}).get("clusterRoleSelectors")
    parsed = tuple(found for found in map(from_object, selectors) if found is not None) if selectors else None
    return Role(
        metadata.get("namespace", ""),
        metadata["name"],
        rules.parse(document.get("rules")),
        metadata.get("labels") or {},
        parsed,
    )


def binding_of(document: Document) -> Binding:
    """Read a RoleBinding or ClusterRoleBinding."""
    metadata, reference = document["metadata"], document["roleRef"]
    namespace = metadata.get("namespace", "")
    subjects = (_subject(subject, namespace) for subject in document.get("subjects") or ())
    return Binding(
        namespace,
        metadata["name"],
        reference["kind"],
        reference["name"],
        tuple(subject for subject in subjects if subject),
    )


def _subject(subject: Mapping[str, Any], namespace: str) -> Subject | None:
    kind, name = subject.get("kind"), str(subject.get("name", ""))
    if kind in ("User", "Group"):
        return str(kind), name
    place = subject.get("namespace") or namespace
    return ("User", f"system:serviceaccount:{place}:{name}") if kind == "ServiceAccount" and place else None


class Remembered(Generic[Read]):
    """What was read of the entries of one resource, kept while they are there and unchanged."""

    def __init__(self, read: Callable[[Document], Read]) -> None:
        self._read = read
        self._known: dict[str, tuple[int, Read]] = {}

    def of(self, entries: Iterable[Entry]) -> list[Read]:
        """All of them, in their order."""
        known, current = self._known, {}
        for entry in entries:
            seen = known.get(entry.key)
            if seen is None or seen[0] != entry.revision:
                seen = (entry.revision, self._read(entry.document))
            current[entry.key] = seen
        self._known = current
        return [seen for _, seen in current.values()]


def gathered(role: Role, others: Iterable[Role]) -> tuple[Rule, ...]:
    """The rules of a ClusterRole: its own, or, if it aggregates, those of every role that its selectors match.

    Roles that are gathered may gather themselves (admin takes edit, edit takes view); a circle ends where it began.
    Duplicates appear once.
    """
    if role.selectors is None:
        return role.rules
    found: dict[Rule, None] = {}
    seen: set[str] = set()
    known = sorted(others, key=lambda other: other.name)

    def visit(current: Role) -> None:
        if current.name in seen:
            return
        seen.add(current.name)
        if current.selectors is None:
            found.update(dict.fromkeys(current.rules))
            return
        for other in known:
            if any(selector.matches(other.labels) for selector in current.selectors):
                visit(other)

    visit(role)
    return tuple(found)
