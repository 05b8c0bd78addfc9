"""The patch that leads from a live object to a manifest, keeping what others set: pure.

Three documents are compared: the manifest, the one applied last, and the live object. What left the manifest is
removed, what differs is set, the rest stays. With the facts of a type the patch is a strategic merge patch: lists whose
items have a key are compared item by item. Without (no type, no facts) it is a JSON merge patch: lists are replaced.

Sources: Kubernetes documentation, "Declarative Management of Kubernetes Objects", "How apply calculates differences";
the contributors' guide "Strategic Merge Patch" for the directives. Unlike kubectl, a list whose keys are not unique
(ports 53/UDP and 53/TCP) is replaced as a whole, and a list that only lacks the server's defaults is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from k8slite.schema import FieldFacts, TypeFacts

Patch = dict[str, Any]


def patch(
    live: Mapping[str, Any], wanted: Mapping[str, Any], previous: Mapping[str, Any], facts: TypeFacts | None
) -> Patch:
    """The patch of an object; empty if nothing differs."""
    found: Patch = {key: None for key in previous if key not in wanted and key in live}
    for key, value in wanted.items():
        field = facts.field(key) if facts else None
        if value is None:
            if live.get(key) is not None and not _is_servers(key):
                found[key] = None
        elif key not in live:
            found[key] = value
        elif isinstance(value, dict) and isinstance(live[key], dict):
            inner = None if field is None or field.is_map else field.type
            if change := patch(live[key], value, _mapping(previous.get(key)), inner):
                found[key] = _retaining(change, value, field)
        elif isinstance(value, list) and isinstance(live[key], list) and field and "merge" in field.patch_strategy:
            found |= _list(key, live[key], value, _sequence(previous.get(key)), field)
        elif not covers(live[key], value):
            found[key] = value
    return found


def _is_servers(key: str) -> bool:
    """What generated manifests carry as null, and only the server sets."""
    return key in ("creationTimestamp", "status")


def _retaining(change: Patch, wanted: Mapping[str, Any], field: FieldFacts | None) -> Patch:
    """Of a union, as a Deployment's strategy or a volume, only what the manifest names may stay."""
    if field is None or "retainKeys" not in field.patch_strategy:
        return change
    return {"$retainKeys": sorted(key for key, value in wanted.items() if value is not None), **change}


def _list(name: str, live: list[Any], wanted: list[Any], previous: Sequence[Any], field: FieldFacts) -> Patch:
    if not field.merge_key:
        return _primitives(name, live, wanted, previous)
    old, new = _by_key(live, field.merge_key), _by_key(wanted, field.merge_key)
    if old is None or new is None:
        return {} if covers(live, wanted) else {name: [{"$patch": "replace"}, *wanted]}
    before = _by_key(previous, field.merge_key) or {}
    items: list[Patch] = []
    for key, item in new.items():
        if key not in old:
            items.append(item)
        elif change := patch(old[key], item, before.get(key, {}), field.type):
            items.append(_retaining({field.merge_key: key, **change}, item, field))
    items += [{"$patch": "delete", field.merge_key: key} for key in before if key in old and key not in new]
    moved = [key for key in old if key in new] != [key for key in new if key in old]
    if not items and not moved:
        return {}
    order = [{field.merge_key: key} for key in new]
    return {f"$setElementOrder/{name}": order, name: items} if items else {f"$setElementOrder/{name}": order}


def _primitives(name: str, live: list[Any], wanted: list[Any], previous: Sequence[Any]) -> Patch:
    found: Patch = {}
    if added := [value for value in wanted if value not in live]:
        found[name] = added
    if gone := [value for value in previous if value in live and value not in wanted]:
        found[f"$deleteFromPrimitiveList/{name}"] = gone
    return found


def _by_key(items: Sequence[Any], merge_key: str) -> dict[Any, dict[str, Any]] | None:
    """The items by key; None unless each has one of its own."""
    found = {item[merge_key]: item for item in items if isinstance(item, dict) and _is_key(item.get(merge_key))}
    return found if len(found) == len(items) else None


def _is_key(value: Any) -> bool:
    return isinstance(value, str | int)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def covers(live: Any, wanted: Any) -> bool:
    """Whether the live value has all that is wanted; the server may have added defaults."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return all(value is None or (key in live and covers(live[key], value)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list):
        return len(wanted) == len(live) and all(covers(a, b) for a, b in zip(live, wanted, strict=True))
    return bool(live == wanted and isinstance(live, bool) == isinstance(wanted, bool))
