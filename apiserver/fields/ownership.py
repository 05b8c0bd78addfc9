"""Who owns what after a write.

A write that is no apply owns what it added or changed, and takes it from all others. An applier owns what its
configuration says; where that would change what others own, it is refused, or takes it by force. What it applied before
and no longer does is removed, if nobody else owns it.

Objects nobody ever applied and whose entries were reset are not tracked, until somebody applies them.

Source: structured-merge-diff, merge (Updater); apimachinery, util/managedfields/internal (the chain of managers).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import orjson

from k8slite.remembering import Recent
from k8slite.schema.atoms import ANY, Atom

from .entries import Entry, Manager, Managers, cap_updaters, in_order, make_entry, managers_of, with_fields
from .merge import merge
from .reconcile import reconcile
from .remove import remove, with_named
from .sets import LEAF, FieldSet, Filter, difference, intersection, members, union
from .typed import Comparison, Document, applied, compare, created

#: What the system says about an object belongs to nobody.
_SYSTEM: FieldSet = {
    "f:apiVersion": LEAF,
    "f:kind": LEAF,
    "f:metadata": {
        ".": LEAF,
        "f:name": LEAF,
        "f:namespace": LEAF,
        "f:creationTimestamp": LEAF,
        "f:selfLink": LEAF,
        "f:uid": LEAF,
        "f:clusterName": LEAF,
        "f:generation": LEAF,
        "f:managedFields": LEAF,
        "f:resourceVersion": LEAF,
    },
}

#: A document and its schema, in the version that was asked for; None if that version does not exist (any more).
View = tuple[Document, Atom]
Convert = Callable[[Document, str], Awaitable[View | None]]


@dataclass(slots=True)  # not frozen, as that costs: one is made for every write
class Writer:
    """Who writes, through which endpoint, in which version; `now` is RFC 3339.

    `owned` filters a set to what can be owned through the endpoint: what it resets cannot. `evolving` says that the
    schema may have changed since the entries were written.
    """

    manager: str
    api_version: str
    atom: Atom
    now: str
    owned: Filter
    subresource: str = ""
    evolving: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that an applier would change and that another manager owns; `path` as `sets.members` yields it."""

    manager: Manager
    path: tuple[str, ...]


class Conflicts(Exception):
    """An apply that others' ownership forbids."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = conflicts


def first_entries(document: Document, writer: Writer) -> list[Entry]:
    """The entries of a new object that is made as a whole."""
    fields = _first_fields(document, writer)
    manager = Manager(writer.manager, "Update", writer.api_version, writer.subresource)
    return [make_entry(manager, fields, api_version=writer.api_version, time=writer.now)] if fields else []


_REMEMBERED = 512
_LONGEST = 8192
_alike: Recent[tuple[Atom, Filter, bytes], FieldSet] = Recent(_REMEMBERED)
"""The fields of documents that were made lately, by all of them but the name: what a template makes is alike."""


def _first_fields(document: Document, writer: Writer) -> FieldSet:
    metadata = {name: value for name, value in document["metadata"].items() if name != "name"}
    likeness = writer.atom, writer.owned, orjson.dumps({**document, "metadata": metadata})
    fields = _alike.get(likeness)
    if fields is None:
        fields = _strip(writer.owned(created(document, writer.atom)))
        if len(likeness[2]) <= _LONGEST:
            _alike.keep(likeness, fields)
    return fields


async def update(
    live: Document, new: Document, entries: list[Entry], *, writer: Writer, convert: Convert
) -> list[Entry]:
    """The entries after a write that is no apply; the given ones (the very list) if nothing changed.

    Both documents are of the writer's version and without entries.
    """
    if not entries:
        return entries
    comparison = _filtered(compare(live, new, writer.atom), writer)
    managers = managers_of(entries)
    if writer.evolving:
        await _reconcile(managers, live, writer, convert)
    await _disown(managers, live, new, comparison, writer=writer, applier=None, convert=convert)
    own = _strip(comparison.changed)
    if own:
        manager = Manager(writer.manager, "Update", writer.api_version, writer.subresource)
        entry = managers.get(manager)
        if entry is None:
            managers[manager] = make_entry(manager, own, api_version=writer.api_version, time=writer.now)
        else:
            managers[manager] = with_fields(entry, union(entry["fieldsV1"], own), time=writer.now)
        cap_updaters(managers)
    found = in_order(managers)
    return entries if found == entries else found


async def apply(
    live: Document,
    configuration: Document,
    entries: list[Entry],
    *,
    writer: Writer,
    convert: Convert,
    force: bool,
) -> tuple[Document, list[Entry]]:
    """The object and its entries after an apply. Raises Conflicts.

    All documents are of the writer's version and without entries; `live` is empty if there is no object yet.
    """
    if not entries and live.get("metadata"):
        before = replace(writer, manager="before-first-apply")
        entries = first_entries(live, before)
    managers = managers_of(entries)
    if writer.evolving:
        await _reconcile(managers, live, writer, convert)
    applier = Manager(writer.manager, "Apply", "", writer.subresource)
    last = managers.get(applier)
    new = merge(live, configuration, writer.atom)
    fields = writer.owned(applied(configuration, writer.atom))
    managers[applier] = entry = make_entry(
        applier, fields, api_version=writer.api_version, time=last.get("time") if last else writer.now
    )
    if last is not None and last["fieldsV1"]:
        new = await _prune(new, managers, last, writer=writer, convert=convert)
    comparison = _filtered(compare(live, new, writer.atom), writer)
    conflicts = await _disown(managers, live, new, comparison, writer=writer, applier=applier, convert=convert)
    if conflicts and not force:
        raise Conflicts(conflicts)
    fields = _strip(fields)
    changed = new != live or last is None or last["fieldsV1"] != fields
    time = writer.now if changed else entry.get("time")
    managers[applier] = make_entry(applier, fields, api_version=writer.api_version, time=time)
    return new, in_order(managers)


def _filtered(comparison: Comparison, writer: Writer) -> Comparison:
    return Comparison(writer.owned(comparison.changed), writer.owned(comparison.removed))


def _strip(fields: FieldSet) -> FieldSet:
    return difference(fields, _SYSTEM)


async def _disown(
    managers: Managers,
    live: Document,
    new: Document,
    comparison: Comparison,
    *,
    writer: Writer,
    applier: Manager | None,
    convert: Convert,
) -> list[Conflict]:
    """Take what changed, and what is gone, from everybody but the applier; what the changes cost whom."""
    versions: dict[str, Comparison | None] = {writer.api_version: comparison}
    conflicts: list[Conflict] = []
    for manager in sorted(managers):
        entry = managers[manager]
        if manager == applier:
            continue
        version = entry["apiVersion"]
        if version not in versions:
            versions[version] = await _compare_in(version, live, new, writer=writer, convert=convert)
        differs = versions[version]
        if differs is None:
            del managers[manager]
            continue
        fields = entry["fieldsV1"]
        if differs.changed:
            lost = intersection(fields, differs.changed)
            if lost:
                conflicts += [Conflict(manager, path) for path in members(lost)]
                fields = difference(fields, lost)
        if differs.removed:
            fields = difference(fields, differs.removed)
        managers[manager] = with_fields(entry, fields)
    return conflicts


async def _compare_in(
    version: str, live: Document, new: Document, *, writer: Writer, convert: Convert
) -> Comparison | None:
    before, after = await convert(live, version), await convert(new, version)
    if before is None or after is None:
        return None
    return _filtered(compare(before[0], after[0], after[1]), writer)


async def _prune(merged: Document, managers: Managers, last: Entry, *, writer: Writer, convert: Convert) -> Document:
    """Remove what was applied last and is not any more, unless somebody owns it or it holds what was not applied."""
    view = await convert(merged, last["apiVersion"])
    if view is None:
        return merged
    merged, atom = view
    applied_last = with_named(last["fieldsV1"], atom)
    pruned = remove(merged, applied_last, atom)
    owned: dict[str, FieldSet] = {}
    for entry in managers.values():
        owned[entry["apiVersion"]] = union(owned.get(entry["apiVersion"], LEAF), entry["fieldsV1"])
    whole = merged
    for version in sorted(owned, key=lambda version: version != last["apiVersion"]):
        wide, narrow = await convert(whole, version), await convert(pruned, version)
        if wide is None or narrow is None:
            continue
        whole, here = wide
        kept = union(_everything(narrow[0], here), with_named(owned[version], here))
        pruned = remove(whole, difference(_everything(whole, here), kept), here)
    again = await convert(pruned, last["apiVersion"])
    if again is None:
        return merged
    gone = difference(_everything(merged, atom), _everything(again[0], atom))
    pruned = remove(merged, intersection(gone, applied_last), atom)
    back = await convert(pruned, writer.api_version)
    return pruned if back is None else back[0]


def _everything(document: Document, atom: Atom) -> FieldSet:
    return with_named(applied(document, atom), atom)


async def _reconcile(managers: Managers, live: Document, writer: Writer, convert: Convert) -> None:
    """Bring entries up to schemas in which maps or lists became atomic."""
    for manager, entry in managers.items():
        atom: Atom | None = writer.atom
        if entry["apiVersion"] != writer.api_version:
            view = await convert(live, entry["apiVersion"])
            atom = view[1] if view is not None else None
        if atom is not None and atom is not ANY:
            managers[manager] = with_fields(entry, reconcile(entry["fieldsV1"], atom))
