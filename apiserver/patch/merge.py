"""JSON Merge Patch.

Source: RFC 7386.
"""

from __future__ import annotations

from typing import Any


def apply(document: Any, patch: Any) -> Any:
    """The patched document; `document` and `patch` stay as they are, but the result shares what did not change."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, list) and not isinstance(result.get(key), dict):
            result[key] = _without_nulls(value)
        else:
            result[key] = apply(result.get(key), value)
    return result


def _without_nulls(value: Any) -> Any:
    """A list without the null members of objects in it: Kubernetes drops them too, where the RFC has no say."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
