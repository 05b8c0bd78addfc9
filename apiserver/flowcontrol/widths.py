"""How many seats a request takes: as many as lists of a hundred objects would cost. One addition for most.

A list, and a watch that begins with one, counts the objects that it goes through. A write counts one seat and one more
for each hundred watchers that will be told of it. (Kubernetes lets a write hold those seats for some milliseconds after
its answer; here what watchers are sent is carried by a callback of its own, a bounded piece in each turn of the event
loop, and the seats come back with the turn.)

Source: Kubernetes' apiserver, util/flowcontrol/request.
"""

from __future__ import annotations

from typing import Protocol

from ..wire.options import Options
from ..wire.request import RequestInfo

OBJECTS_PER_SEAT = WATCHERS_PER_SEAT = 100
_LISTS = frozenset({"list", "watch", "deletecollection"})
_WRITES = frozenset({"create", "update", "patch", "delete"})


class Rows(Protocol):
    """What is known of a resource's objects without looking at them."""

    def count(self, namespace: str) -> int:
        """How many there are in a namespace (empty: in all)."""
        ...

    def interested(self, namespace: str) -> int:
        """How many clients watch a namespace as a whole, or all."""
        ...


class Resources(Protocol):
    """Every resource."""

    def known(self, group: str, plural: str) -> Rows | None:
        """One of them, None if nobody has made or asked for any object of it."""
        ...


def width(info: RequestInfo, options: Options, resources: Resources) -> int:
    """The seats of a request, not bounded by what its level allows. It may ask for what does not exist."""
    rows = resources.known(info.group, info.plural)
    if rows is None:
        return 1
    if info.verb in _WRITES:
        return 1 + rows.interested(info.namespace) // WATCHERS_PER_SEAT
    if info.verb not in _LISTS or info.name or not _begins_with_a_list(info, options):
        return 1
    selector = options.field_selector
    if selector and selector.value_of("metadata.name"):
        return 1
    limit = 0 if selector or options.label_selector else options.limit
    if 0 < limit <= OBJECTS_PER_SEAT:
        return 1
    objects = rows.count(info.namespace)
    if limit and limit < objects:
        objects = limit
    return max(1, -(-objects // OBJECTS_PER_SEAT))


def _begins_with_a_list(info: RequestInfo, options: Options) -> bool:
    return info.verb != "watch" or bool(options.send_initial_events) or options.resource_version in ("", "0")
