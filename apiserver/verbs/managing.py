"""Field ownership of a request: who writes, and what becomes of the entries of an object.

Entries are made after defaults and before admission: what plugins, webhooks and strategies add belongs to nobody.

Source: Kubernetes' apiserver, endpoints/handlers/{create,update,patch}.go and fieldmanager/.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from k8slite.clock import timestamp
from k8slite.errors import ApiError
from k8slite.remembering import remembered
from k8slite.schema import Decoded

from .. import documents
from ..admission.base import Admission
from ..calls import Call
from ..documents import Document
from ..fields import ownership
from ..fields.entries import Entry, claimed, same_but_for_times
from ..fields.ownership import Convert, View, Writer
from ..fields.resets import owned_through
from ..fields.sets import Filter
from ..registry import Registry, Served
from ..wire.options import LONGEST_MANAGER


@dataclass(frozen=True, slots=True)
class Current:
    """An object as it is, in the version asked for: without the entries that say who owns its fields, and those."""

    object: Document
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object as it shall be, in the version asked for. Without `entries`, they follow from what changes.

    `admission` is that of another object that stands for it (its Scale), which has been changed by the plugins already.
    """

    decoded: Decoded
    entries: list[Entry] | None = None
    admission: Admission | None = None


def writer(registry: Registry, served: Served, call: Call) -> Writer:
    """Who writes by this request."""
    resource, subresource = served.resource, call.info.subresource
    return Writer(
        manager=call.options.field_manager or _from_user_agent(call) or "unknown",
        api_version=resource.api_version,
        atom=registry.schemas.atom_of(resource.group, resource.version, resource.kind),
        now=timestamp(registry.clock.now()),
        owned=_owned(served, subresource),
        subresource=subresource,
        evolving=served.converter is not None,
    )


@lru_cache(maxsize=1024)
def _owned(served: Served, subresource: str) -> Filter:
    strategy = served.strategy
    return owned_through(
        subresource,
        has_status=served.resource.subresource("status") is not None,
        keeps_labels=strategy.status_keeps_labels,
        keeps_metadata=strategy.status_keeps_metadata,
    )


def _from_user_agent(call: Call) -> str:
    return _named_by(next((value for name, value in call.scope["headers"] if name == b"user-agent"), b""))


@remembered(1024)
def _named_by(agent: bytes) -> str:
    name = "".join(filter(str.isprintable, agent.decode("latin-1").partition("/")[0]))
    return name if len(name) <= LONGEST_MANAGER else name.encode()[:LONGEST_MANAGER].decode(errors="ignore")


def bare(document: Document) -> Document:
    """A shallow copy of a document without its entries."""
    metadata = document["metadata"]
    if "managedFields" not in metadata:
        return {**document, "metadata": dict(metadata)}
    return {**document, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def converter(registry: Registry, served: Served) -> Convert:
    """How documents of a resource get from one of its versions to another."""

    async def convert(document: Document, api_version: str) -> View | None:
        target = _served_in(registry, served, api_version)
        if target is None:
            return None
        resource = target.resource
        atom = registry.schemas.atom_of(resource.group, resource.version, resource.kind)
        current = document.get("apiVersion") or api_version
        if current == api_version:
            return document, atom
        if target.converter is not None:
            return (await target.converter.convert([documents.copy(document)], target.hub))[0], atom
        source = _served_in(registry, served, current)
        if source is None:
            return None
        return target.to_served(source.to_hub(documents.copy(document))), atom

    return convert


def _served_in(registry: Registry, served: Served, api_version: str) -> Served | None:
    if api_version == served.resource.api_version:
        return served
    group, _, version = api_version.rpartition("/")
    try:
        found = registry.find(group, version, served.resource.plural)
    except ApiError:
        return None
    return found if found.stored.key == served.stored.key else None


def current(served: Served, stored: Document) -> Current:
    """A document of the hub as a writer gets to see it; it is not changed, and shares parts with the result."""
    return Current(_as_asked(served, stored), stored["metadata"].get("managedFields") or [])


def _as_asked(served: Served, document: Document) -> Document:
    """A document of the hub in the version asked for, without entries; not changed, and not to be changed."""
    document = bare(document)
    if served.hub.key == served.resource.key:
        return document
    return served.to_served(documents.copy(document))


async def entries_of_new(registry: Registry, served: Served, call: Call, obj: Document, given: Any) -> list[Entry]:
    """The entries of an object that is made by POST or PUT, and brings `given` ones."""
    who = writer(registry, served, call)
    entries = claimed(given, []) if given is not None else []
    new = (
        obj
        if "managedFields" not in obj["metadata"] and served.hub.key == served.resource.key
        else _as_asked(served, obj)
    )
    if not entries:
        return ownership.first_entries(new, who)
    return await ownership.update({}, new, entries, writer=who, convert=converter(registry, served))


async def entries_of_change(
    registry: Registry, served: Served, call: Call, *, new: Document, live: Document, given: Any
) -> list[Entry]:
    """The entries of an object after a PUT or PATCH that brings `given` ones. Both documents are the hub's."""
    before: list[Entry] = live["metadata"].get("managedFields") or []
    entries = before if call.info.subresource else claimed(given, before)
    if not entries:
        return entries
    who = writer(registry, served, call)
    return await ownership.update(
        _as_asked(served, live),
        _as_asked(served, new),
        entries,
        writer=who,
        convert=converter(registry, served),
    )


def check_admitted(obj: Document, entries: list[Entry], warnings: list[str]) -> list[Entry]:
    """The entries after mutating admission; those that it broke are as before."""
    after = obj["metadata"].get("managedFields")
    if after is entries or after == entries:
        return entries
    if not after:
        return []
    read = claimed(after, entries)
    if read is entries:
        obj["metadata"]["managedFields"] = entries
        warnings.append(
            ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated "
            "mutating admission controller; please fix your requests: the entries cannot be read"
        )
    return read


def settle(new: Document, live: Document, entries: list[Entry]) -> None:
    """Put the entries into the object that is to be stored; those of a write that changed nothing keep their times."""
    metadata = new["metadata"]
    before: list[Entry] = live["metadata"].get("managedFields") or []
    if entries != before and same_but_for_times(entries, before) and bare(new) == bare(live):
        entries = before
    if entries:
        metadata["managedFields"] = entries
    else:
        metadata.pop("managedFields", None)
