"""Lists that are sets or maps: no element, or no key, may stand in them twice.

Source: Kubernetes' apiextensions-apiserver, schema/listtype.
"""

from __future__ import annotations

from typing import Any

import orjson

from k8slite.errors import Cause, duplicate, invalid_value

from .structural import Structural


def check(value: Any, schema: Structural | None, *, path: str = "") -> list[Cause]:
    """What stands twice below a value."""
    if schema is None:
        return []
    causes: list[Cause] = []
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(item, (dict, list)):
                continue
            if schema.additional is not None:
                causes += check(item, schema.additional, path=f"{path}[{name}]")
            if name in schema.properties:
                causes += check(item, schema.properties[name], path=f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        if schema.list_type == "set":
            causes += _repeated(value, value, path)
        elif schema.list_type == "map":
            causes += _keyed(value, schema.list_keys, path)
        for index, item in enumerate(value):
            if isinstance(item, (dict, list)):
                causes += check(item, schema.items, path=f"{path}[{index}]")
    return causes


def _keyed(value: list[Any], keys: tuple[str, ...], path: str) -> list[Cause]:
    for index, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            return [invalid_value(f"{path}[{index}]", item, "must be an object for an array of list-type map")]
    found = [{key: item[key] for key in keys if key in item} if item else {} for item in value]
    return _repeated(found, found, path)


def _repeated(identities: list[Any], shown: list[Any], path: str) -> list[Cause]:
    """A cause for the second of each; the third and further ones add nothing."""
    causes: list[Cause] = []
    seen: dict[str, int] = {}
    for index, identity in enumerate(identities):
        encoded = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS).decode()  # its bytes keep 4 KiB
        seen[encoded] = seen.get(encoded, 0) + 1
        if seen[encoded] == 2:
            causes.append(duplicate(f"{path}[{index}]", shown[index]))
    return causes
