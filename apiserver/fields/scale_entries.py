"""Ownership of replicas, told to the scale subresource and back.

Whoever owns an object's replicas owns those of its Scale. Whoever takes them there takes them from the object's owners,
by an entry of the object that says `subresource: scale`.

Source: apimachinery, util/managedfields/scalehandler.go.
"""

from __future__ import annotations

from .entries import Entry, Manager, make_entry, manager_of, order, with_fields
from .sets import LEAF, FieldSet, difference, has, single

REPLICAS: FieldSet = {"f:spec": {"f:replicas": LEAF}}
_SCALE = "autoscaling/v1"
_PATH = ("f:spec", "f:replicas")
_Owner = tuple[str, str, str]


def of_scale(entries: list[Entry], path: tuple[str, ...]) -> list[Entry]:
    """An object's entries as its Scale has them; `path` leads to the replicas in the object."""
    return [{**entry, "apiVersion": _SCALE, "fieldsV1": REPLICAS} for entry in entries if has(entry["fieldsV1"], path)]


def of_object(entries: list[Entry], scale: list[Entry], path: tuple[str, ...], *, api_version: str) -> list[Entry]:
    """The object's entries once its Scale has those; new ones are of that version of the API."""
    owners = {_owner(entry): entry for entry in scale if has(entry["fieldsV1"], _PATH)}
    found: list[Entry] = []
    for entry in entries:
        if not has(entry["fieldsV1"], path):
            found.append(entry)
            continue
        kept = owners.pop(_owner(entry), None)
        if kept is None:
            if left := difference(entry["fieldsV1"], single(path)):
                found.append(with_fields(entry, left))
        elif kept.get("time") == entry.get("time"):
            found.append(entry)
        else:
            found.append({**entry, "time": kept["time"]})
    for (name, operation, subresource), entry in owners.items():
        manager = Manager(name, operation, "" if operation == "Apply" else api_version, subresource)
        known = next((index for index, other in enumerate(found) if manager_of(other) == manager), None)
        added = make_entry(manager, single(path), api_version=api_version, time=entry.get("time"))
        if known is None:
            found.append(added)
        else:
            found[known] = added
    return sorted(found, key=order)


def _owner(entry: Entry) -> _Owner:
    return (entry.get("manager") or "", entry["operation"], entry.get("subresource") or "")
