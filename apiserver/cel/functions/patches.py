"""What expressions that write JSON patches have besides: `jsonpatch.escapeKey('a/b')`.

Source: apiserver, pkg/cel/library/jsonpatch.go.
"""

from __future__ import annotations

from .base import Declaration, Dispatch, function


def escape_key(text: str) -> str:
    """A key as a JSON pointer writes it."""
    return text.replace("~", "~0").replace("/", "~1")


FUNCTIONS: dict[str, Dispatch] = {"jsonpatch.escapeKey": {str: escape_key}}

DECLARATIONS: tuple[Declaration, ...] = (function("jsonpatch.escapeKey", "string", result="string"),)
