"""Who depends on whom, over all resources that are watched: an index from owner to dependents.

The objects themselves stay in the informers' caches; the graph holds only keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from k8slite.informer import Informer
from k8slite.kinds.base import Object, OwnerReference

from ..discovery import Served


@dataclass(frozen=True, slots=True)
class Member:
    """A resource in the graph."""

    served: Served
    informer: Informer[Any]
    shared: bool = False
    """Whether a controller watches the resource too, so that its informer stays when the resource goes."""


def member_key(served: Served) -> tuple[str, str]:
    """A resource, whatever its version."""
    return served.resource.group, served.resource.plural


class Graph:
    """Owners and dependents of all members."""

    def __init__(self) -> None:
        self.members: dict[tuple[str, str], Member] = {}
        self._kinds: dict[tuple[str, str], Member] = {}
        self._dependents: dict[str, set[tuple[tuple[str, str], str]]] = {}

    def add(self, member: Member) -> None:
        """Take a resource in."""
        resource = member.served.resource
        self.members[member_key(member.served)] = member
        self._kinds[resource.group, resource.kind] = member

    def remove(self, served: Served) -> None:
        """Leave a resource out that is no longer served."""
        key = member_key(served)
        self.members.pop(key, None)
        self._kinds.pop((served.resource.group, served.resource.kind), None)
        for uid, entries in list(self._dependents.items()):
            entries -= {entry for entry in entries if entry[0] == key}
            if not entries:
                del self._dependents[uid]

    def kind(self, reference: OwnerReference) -> Member | None:
        """The resource that a reference names; versions of one kind are the same."""
        return self._kinds.get((reference.api_version.rpartition("/")[0], reference.kind))

    def link(self, served: Served, old: Object | None, new: Object | None) -> None:
        """Keep the index when an object changed."""
        before, after = _owners(old), _owners(new)
        item = new or old
        if before == after or item is None:
            return
        entry = (member_key(served), item.key)
        for uid in before - after:
            entries = self._dependents.get(uid, set())
            entries.discard(entry)
            if not entries:
                self._dependents.pop(uid, None)
        for uid in after - before:
            self._dependents.setdefault(uid, set()).add(entry)

    def dependents(self, uid: str) -> Sequence[tuple[Member, Object]]:
        """The objects that name this UID as an owner."""
        found = []
        for key, object_key in sorted(self._dependents.get(uid, ())):
            member = self.members.get(key)
            item = member.informer.get(object_key) if member is not None else None
            if member is not None and item is not None:
                found.append((member, item))
        return found

    def naming(self, owner: Member) -> Sequence[tuple[Member, Object]]:
        """The objects that name an owner of this kind."""
        return [
            (member, item)
            for uid in list(self._dependents)
            for member, item in self.dependents(uid)
            if any(each.uid == uid and self.kind(each) is owner for each in item.metadata.owner_references)
        ]


def _owners(item: Object | None) -> set[str]:
    references: Iterable[OwnerReference] = item.metadata.owner_references if item is not None else ()
    return {reference.uid for reference in references}
