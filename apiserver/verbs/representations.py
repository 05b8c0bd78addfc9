"""Objects in another form than they are stored in: another version, a Table, or metadata alone.

A watch's transformation is a value: those of all clients that want the same form are equal, and share what they made.

Source: Kubernetes documentation, "API concepts: receiving resources as Tables"; API reference, PartialObjectMetadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from k8slite.clock import Clock
from k8slite.errors import ApiError

from .. import tables
from ..calls import Answer, Call
from ..documents import decode, list_body, partial_metadata
from ..registry import Served
from ..storage.base import revision_of
from ..watching.events import INITIAL_END, Shown
from ..watching.resources import Listing
from ..wire.negotiation import Version
from .converted_watch import Render


async def single(served: Served, call: Call, value: bytes, now: datetime) -> Answer:
    """One object in the form that the client accepts. Raises ApiError 406."""
    accept = call.accept
    match accept.form:
        case "table":
            document = (await served.present([decode(value)]))[0]
            metadata = {"resourceVersion": document["metadata"].get("resourceVersion", "")}
            return Answer(orjson.dumps(_table(served, [document], now, call, metadata)))
        case "metadata":
            if accept.listed:
                raise _wrong_form("PartialObjectMetadataList", f"not a list ({_go_type(served)})")
            return Answer(orjson.dumps(partial_metadata(decode(value), version=accept.version)), worth_gzip=True)
        case _:
            return Answer(served.encode((await served.present([decode(value)]))[0]), worth_gzip=True)


async def collection(
    served: Served, call: Call, listing: Listing, now: datetime, *, token: str, extra: bytes
) -> Answer:
    """A list in the form that the client accepts. Raises ApiError 406."""
    resource, accept = served.resource, call.accept
    match accept.form:
        case "table":
            metadata: dict[str, Any] = {"resourceVersion": str(listing.revision)}
            if token:
                metadata["continue"] = token
                if not call.options.label_selector and not call.options.field_selector:
                    metadata["remainingItemCount"] = listing.remaining
            documents = await served.present([entry.document for entry in listing.entries])
            body = orjson.dumps(_table(served, documents, now, call, metadata))
        case "metadata":
            if not accept.listed:
                raise _wrong_form("PartialObjectMetadata", f"a list ({_go_type(served)}List)")
            version = accept.version
            items = [orjson.dumps(partial_metadata(entry.document, version=version)) for entry in listing.entries]
            kind, api_version = "PartialObjectMetadataList", f"meta.k8s.io/{version}"
            body = list_body(kind, api_version, items, revision=listing.revision, extra=extra)
        case _:
            items = await _items(served, listing)
            kind = resource.list_kind
            body = list_body(kind, resource.api_version, items, revision=listing.revision, extra=extra)
    return Answer(body, worth_gzip=True)


def _wrong_form(form: str, found: str) -> ApiError:
    return ApiError(406, "NotAcceptable", f"you requested {form}, but the requested object is {found}")


def _go_type(served: Served) -> str:
    """What Kubernetes calls the type, which its message names."""
    return f"*{served.resource.group.partition('.')[0] or 'core'}.{served.resource.kind}"


async def _items(served: Served, listing: Listing) -> list[bytes]:
    """Each object as it is served; what must be converted is converted together."""
    items = [entry.value for entry in listing.entries]
    stale = [index for index, entry in enumerate(listing.entries) if not served.is_plain(entry.revision)]
    shown = await served.present([listing.entries[index].document for index in stale])
    for index, document in zip(stale, shown, strict=True):
        items[index] = served.encode(document)
    return items


def watched(served: Served, call: Call, clock: Clock) -> tuple[Shown, Render | None]:
    """The form in which a watch shows its objects; if a webhook must convert them first, what is made of each."""
    resource, version = served.resource, call.accept.version
    match call.accept.form:
        case "table":
            row = _Row(served, call.options.include_object, version, clock)
            transform, render = (row, None) if served.instant else (None, row.show)
            return Shown(resource.kind, resource.api_version, transform, mark=row.mark), render
        case "metadata":
            alone = _Metadata(version)
            return Shown(resource.kind, resource.api_version, alone, mark=alone), None
        case _:
            if not served.instant:
                return Shown(resource.kind, resource.api_version), served.encode
            plain = not served.converts and served.converter is None
            return Shown(resource.kind, resource.api_version, None if plain else _Converted(served)), None


def _table(
    served: Served, documents: list[dict[str, Any]], now: datetime, call: Call, metadata: dict[str, Any]
) -> dict[str, Any]:
    return tables.table(
        served.resource,
        documents,
        now=now,
        include_object=call.options.include_object,
        list_metadata=metadata,
        version=call.accept.version,
        columns=served.strategy.columns,
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """An object as a table of one row. Equal for all watches of one resource: they share its result."""

    served: Served
    include_object: tables.IncludeObject
    version: Version
    clock: Clock = field(compare=False)

    def __call__(self, value: bytes) -> bytes:
        return self.show(self.served.present_now(decode(value)))

    def mark(self, value: bytes) -> bytes:
        """A bookmark, which needs no conversion."""
        return self.show(decode(value))

    def show(self, document: dict[str, Any]) -> bytes:
        """The row of a document that has the version asked for."""
        metadata, include = document["metadata"], self.include_object
        if include == "None" and INITIAL_END in (metadata.get("annotations") or {}):
            include = "Metadata"  # a bookmark, which would say nothing without its annotation
        made = tables.table(
            self.served.resource,
            [document],
            now=self.clock.now(),
            include_object=include,
            list_metadata={"resourceVersion": metadata["resourceVersion"]},
            version=self.version,
            columns=self.served.strategy.columns,
        )
        return orjson.dumps(made)


@dataclass(frozen=True, slots=True)
class _Metadata:
    """An object's metadata alone."""

    version: Version

    def __call__(self, value: bytes) -> bytes:
        return orjson.dumps(partial_metadata(decode(value), version=self.version))


@dataclass(frozen=True, slots=True)
class _Converted:
    """An object in the version that was asked for."""

    served: Served

    def __call__(self, value: bytes) -> bytes:
        if self.served.is_plain(revision_of(value)):
            return value
        return self.served.encode(self.served.present_now(decode(value)))
