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
        else:
            result[key] = apply(result.get(key), value)
    return result
