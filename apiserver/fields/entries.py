"""The entries of `metadata.managedFields`: who they belong to, what a client may write into them, their order.

An entry stays the dictionary that it is in the document; one that changes is replaced by another.

Source: Kubernetes API reference, "ManagedFieldsEntry"; apimachinery, util/managedfields/internal (managedfields.go,
capmanagers.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from .sets import FieldSet, canonical, union

Entry = dict[str, Any]
Operation = Literal["Apply", "Update"]

_MOST_UPDATERS = 10
_ANCIENT = "ancient-changes"


class Manager(NamedTuple):
    """Whom an entry belongs to. Appliers are the same in every version of the API: theirs is empty here."""

    name: str
    operation: str
    api_version: str
    subresource: str


Managers = dict[Manager, Entry]


def manager_of(entry: Entry) -> Manager:
    """Whom an entry belongs to."""
    operation = entry["operation"]
    version = "" if operation == "Apply" else entry["apiVersion"]
    return Manager(entry.get("manager") or "", operation, version, entry.get("subresource") or "")


def managers_of(entries: Iterable[Entry]) -> Managers:
    """Entries by whom they belong to."""
    return {manager_of(entry): entry for entry in entries}


def make_entry(manager: Manager, fields: FieldSet, *, api_version: str, time: str | None) -> Entry:
    """An entry as it stands in a document."""
    entry: Entry = {"manager": manager.name, "operation": manager.operation, "apiVersion": api_version}
    if time:
        entry["time"] = time
    entry["fieldsType"] = "FieldsV1"
    entry["fieldsV1"] = fields
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def with_fields(entry: Entry, fields: FieldSet, **changes: Any) -> Entry:
    """The entry with another set of fields, and whatever else changes."""
    if fields is entry["fieldsV1"] and not changes:
        return entry
    return {**entry, "fieldsV1": fields, **changes}


def claimed(given: Any, live: list[Entry]) -> list[Entry]:
    """The entries that a write starts from, when it carries `given` ones itself.

    Clients that send back what they read change nothing, those that know nothing of entries neither. An empty list, or
    one of an empty entry, resets them; others that can be read replace them.
    """
    if given is None or given == live:
        return live
    if given in ([], [{}]):
        return []
    try:
        return [_read(entry) for entry in given]
    except (KeyError, TypeError, ValueError):
        return live


def _read(entry: Entry) -> Entry:
    if entry["operation"] not in ("Apply", "Update") or not entry["apiVersion"] or entry["fieldsType"] != "FieldsV1":
        raise ValueError("not an entry")
    return {**entry, "fieldsV1": canonical(entry.get("fieldsV1") or {})}


def in_order(managers: Managers) -> list[Entry]:
    """The entries as a document lists them; those without fields are left out."""
    return sorted((entry for entry in managers.values() if entry["fieldsV1"]), key=order)


def order(entry: Entry) -> tuple[str, str, str, str, str]:
    """Where an entry stands among others."""
    time = entry.get("time") or ""
    manager, version = entry.get("manager") or "", entry["apiVersion"]
    return (entry["operation"], time, manager, version, entry.get("subresource") or "")


def cap_updaters(managers: Managers) -> None:
    """Merge the oldest entries of updates, version by version, until no more than ten are left."""
    updaters = [manager for manager in managers if manager.operation == "Update"]
    surplus = len(updaters) - _MOST_UPDATERS
    if surplus <= 0:
        return
    first: dict[str, Manager] = {}
    for manager in sorted(updaters, key=lambda manager: (managers[manager].get("time") or "", manager)):
        if surplus <= 0:
            return
        version = manager.api_version
        if version not in first:
            first[version] = manager
            continue
        bucket = Manager(_ANCIENT, "Update", version, "")
        if bucket not in managers:
            managers[bucket] = managers.pop(first[version])
        entry = managers.pop(manager)
        if manager != bucket:
            fields = union(entry["fieldsV1"], managers[bucket]["fieldsV1"])
            managers[bucket] = make_entry(bucket, fields, api_version=version, time=entry.get("time"))
        else:
            managers[bucket] = entry
        surplus -= 1


def same_but_for_times(first: list[Entry], second: list[Entry]) -> bool:
    """Whether two lists of entries say the same, at whatever times."""
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(a[name] == b[name] for name in a if name != "time")
        for a, b in zip(first, second, strict=True)
    )
