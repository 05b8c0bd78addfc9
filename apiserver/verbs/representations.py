"""Objects in another form than they are stored in: another version, a Table, or metadata alone.

A watch's transformation is a value: those of all clients that want the same form are equal, and share what they made.

Source: Kubernetes documentation, "API concepts: receiving resources as Tables"; API reference, PartialObjectMetadata.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from k8slite.catalogue import Resource
from k8slite.clock import Clock

from .. import tables
from ..calls import Answer, Call
from ..documents import decode, list_body, partial_metadata
from ..registry import Served
from ..storage.base import revision_of
from ..watching.resources import Listing

_META = "meta.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Shown:
    """How a watch shows objects: the kind that its bookmarks carry, and the transformation of each object.

    If a webhook must convert them first, `render` is what is made of each converted one.
    """

    kind: str
    api_version: str
    transform: Callable[[bytes], bytes] | None
    render: Callable[[dict[str, Any]], bytes] | None = None


async def single(served: Served, call: Call, value: bytes, now: datetime) -> Answer:
    """One object in the form that the client accepts."""
    match call.accept.form:
        case "table":
            document = (await served.present([decode(value)]))[0]
            metadata = {"resourceVersion": document["metadata"]["resourceVersion"]}
            return Answer(orjson.dumps(_table(served.resource, [document], now, call.options.include_object, metadata)))
        case "metadata":
            return Answer(orjson.dumps(partial_metadata(decode(value))))
        case _:
            return Answer(served.encode((await served.present([decode(value)]))[0]))


async def collection(
    served: Served, call: Call, listing: Listing, now: datetime, *, token: str, extra: bytes
) -> Answer:
    """A list in the form that the client accepts."""
    resource = served.resource
    match call.accept.form:
        case "table":
            metadata: dict[str, Any] = {"resourceVersion": str(listing.revision)}
            if token:
                metadata["continue"] = token
                if not call.options.label_selector and not call.options.field_selector:
                    metadata["remainingItemCount"] = listing.remaining
            documents = await served.present([entry.document for entry in listing.entries])
            body = orjson.dumps(_table(resource, documents, now, call.options.include_object, metadata))
        case "metadata":
            items = [orjson.dumps(partial_metadata(entry.document)) for entry in listing.entries]
            body = list_body("PartialObjectMetadataList", _META, items, revision=listing.revision, extra=extra)
        case _:
            items = await _items(served, listing)
            kind = f"{resource.kind}List"
            body = list_body(kind, resource.api_version, items, revision=listing.revision, extra=extra)
    return Answer(body, worth_gzip=True)


async def _items(served: Served, listing: Listing) -> list[bytes]:
    """Each object as it is served; what must be converted is converted together."""
    items = [entry.value for entry in listing.entries]
    stale = [index for index, entry in enumerate(listing.entries) if not served.is_plain(entry.revision)]
    shown = await served.present([listing.entries[index].document for index in stale])
    for index, document in zip(stale, shown, strict=True):
        items[index] = served.encode(document)
    return items


def watched(served: Served, call: Call, clock: Clock) -> Shown:
    """The form in which a watch shows its objects."""
    resource = served.resource
    match call.accept.form:
        case "table":
            row = _Row(served, call.options.include_object, clock)
            if not served.instant:
                return Shown(resource.kind, resource.api_version, None, row.show)
            return Shown(resource.kind, resource.api_version, row)
        case "metadata":
            return Shown("PartialObjectMetadata", _META, _metadata_alone)
        case _:
            if not served.instant:
                return Shown(resource.kind, resource.api_version, None, served.encode)
            transform = _Converted(served) if served.converts or served.converter is not None else None
            return Shown(resource.kind, resource.api_version, transform)


def _table(
    resource: Resource,
    documents: list[dict[str, Any]],
    now: datetime,
    include_object: tables.IncludeObject,
    metadata: dict[str, Any],
) -> dict[str, Any]:
    return tables.table(resource, documents, now=now, include_object=include_object, list_metadata=metadata)


@dataclass(frozen=True, slots=True)
class _Row:
    """An object as a table of one row. Equal for all watches of one resource: they share its result."""

    served: Served
    include_object: tables.IncludeObject
    clock: Clock = field(compare=False)

    def __call__(self, value: bytes) -> bytes:
        return self.show(self.served.present_now(decode(value)))

    def show(self, document: dict[str, Any]) -> bytes:
        """The row of a document that has the version asked for."""
        metadata = {"resourceVersion": document["metadata"]["resourceVersion"]}
        return orjson.dumps(_table(self.served.resource, [document], self.clock.now(), self.include_object, metadata))


@dataclass(frozen=True, slots=True)
class _Converted:
    """An object in the version that was asked for."""

    served: Served

    def __call__(self, value: bytes) -> bytes:
        if self.served.is_plain(revision_of(value)):
            return value
        return self.served.encode(self.served.present_now(decode(value)))


def _metadata_alone(value: bytes) -> bytes:
    return orjson.dumps(partial_metadata(decode(value)))
