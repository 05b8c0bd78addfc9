"""How code that is not a verb reads objects: the part of the watch cache that it may know.

`WatchCache` fits these protocols; tests pass dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from k8slite.selectors import FieldSelector

from .strategies.base import Document

Lookup = Callable[[str, str, str, str], Document | None]
"""`lookup(group, plural, namespace, name)`: an object, None if absent. It must not be changed."""


class Entry(Protocol):
    """One object as it is now; `revision` differs whenever the object does."""

    @property
    def key(self) -> str:
        """Tells it from every other object."""
        ...

    @property
    def revision(self) -> int:
        """The revision of its last write."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels; cheap to ask again."""
        ...

    @property
    def document(self) -> Document:
        """The object, decoded: ask once, it costs."""
        ...


class Rows(Protocol):
    """The objects of one resource."""

    @property
    def changed(self) -> int:
        """The revision of the last change to any of them."""
        ...

    def get(self, namespace: str, name: str) -> Entry | None:
        """One object; `namespace` is empty for cluster-scoped resources."""
        ...

    def select(self, *, namespace: str = "", fields: FieldSelector = ...) -> Sequence[Entry]:
        """Those in a namespace (empty: in all) whose fields match."""
        ...


class Followed(Rows, Protocol):
    """The same, for who keeps something of each object."""

    @property
    def fills(self) -> int:
        """How often all was read anew: what was kept before is worth nothing then."""
        ...

    def since(self, revision: int) -> Mapping[str, Entry | None] | None:
        """What changed after a revision, by key, None for what is gone; None if that is not known any more."""
        ...


class Objects(Protocol):
    """All objects."""

    def resource(self, group: str, plural: str) -> Rows:
        """Those of one resource."""
        ...


def lookup_in(objects: Objects) -> Lookup:
    """A `Lookup` over all objects."""

    def lookup(group: str, plural: str, namespace: str, name: str) -> Document | None:
        entry = objects.resource(group, plural).get(namespace, name)
        return entry.document if entry is not None else None

    return lookup
