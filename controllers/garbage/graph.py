"""Who depends on whom, over all resources that are watched: an index from owner to dependents.

The objects themselves stay in the informers' caches; the graph holds only keys.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Place:
    """What and where an owner is. A UID alone is anybody's claim: a reference must name the place, too."""

    group: str
    kind: str
    namespace: str
    name: str

    def is_meant(self, item: Object, reference: OwnerReference) -> bool:
        """Whether an object's reference names it, UID aside: an owner is in the object's own namespace, or in none."""
        named = (reference.api_version.rpartition("/")[0], reference.kind, reference.name)
        return named == (self.group, self.kind, self.name) and self.namespace in ("", item.namespace)


_Entry = tuple[tuple[str, str], str]
"""A resource and an object's key."""


class Graph:
    """Owners and dependents of all members."""

    def __init__(self) -> None:
        self.members: dict[tuple[str, str], Member] = {}
        self._kinds: dict[tuple[str, str], Member] = {}
        self._links: dict[_Entry, Sequence[OwnerReference]] = {}
        """What each dependent names. The last that is told of an object that goes may name others than before."""
        self._dependents: dict[str, set[_Entry]] = {}
        self._ended: dict[str, Place] = {}
        """Owners that were seen to go, by UID, while somebody names them."""

    @property
    def complete(self) -> bool:
        """Whether all dependents are known that there are."""
        return all(member.informer.synced for member in self.members.values())

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
        for entry in [entry for entry in self._links if entry[0] == key]:
            self._put(entry, ())

    def kind(self, reference: OwnerReference) -> Member | None:
        """The resource that a reference names; versions of one kind are the same."""
        return self._kinds.get((reference.api_version.rpartition("/")[0], reference.kind))

    def link(self, served: Served, key: str, references: Sequence[OwnerReference]) -> Sequence[OwnerReference]:
        """The object of that key names these owners now; returns those that it named before."""
        return self._put((member_key(served), key), references)

    def end(self, served: Served, item: Object) -> None:
        """An object was seen to go; who names it need not ask whether it is there, which nobody may answer soon."""
        if item.uid in self._dependents:
            self._ended[item.uid] = _place(served, item)

    def ended(self, item: Object, reference: OwnerReference) -> bool:
        """Whether the owner that a reference names was seen to go."""
        end = self._ended.get(reference.uid)
        return end is not None and end.is_meant(item, reference)

    def dependents(self, uid: str) -> Sequence[tuple[Member, Object]]:
        """The objects that name this UID as an owner."""
        found = []
        for key, object_key in sorted(self._dependents.get(uid, ())):
            member = self.members.get(key)
            item = member.informer.get(object_key) if member is not None else None
            if member is not None and item is not None:
                found.append((member, item))
        return found

    def owned(self, owner: Member, item: Object) -> Sequence[tuple[Member, Object]]:
        """Those dependents that it may have: no others are waited for or let go of."""
        place = _place(owner.served, item)
        return [
            (member, dependent)
            for member, dependent in self.dependents(item.uid)
            if any(
                one.uid == item.uid and place.is_meant(dependent, one) for one in dependent.metadata.owner_references
            )
        ]

    def naming(self, owner: Member) -> Sequence[tuple[Member, Object]]:
        """The objects that name an owner of this kind."""
        return [
            (member, item)
            for uid in list(self._dependents)
            for member, item in self.dependents(uid)
            if any(each.uid == uid and self.kind(each) is owner for each in item.metadata.owner_references)
        ]

    def _put(self, entry: _Entry, references: Sequence[OwnerReference]) -> Sequence[OwnerReference]:
        before = self._links.pop(entry, ())
        if references:
            self._links[entry] = references
        old, new = {one.uid for one in before}, {one.uid for one in references}
        for uid in old - new:
            entries = self._dependents[uid]
            entries.discard(entry)
            if not entries:
                del self._dependents[uid]
                self._ended.pop(uid, None)
        for uid in new - old:
            self._dependents.setdefault(uid, set()).add(entry)
        return before


def _place(served: Served, item: Object) -> Place:
    return Place(served.resource.group, served.resource.kind, item.namespace, item.name)
