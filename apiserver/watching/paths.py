"""Selectable fields that are a path into an object, and what can be said of them without decoding it.

Each kubelet watches the pods of its own node, and is offered those of all others: their bytes tell already that they
are not its own.
"""

from __future__ import annotations

from typing import Any


class Path:
    """A reader of a dotted path: its value as text, empty if unset."""

    __slots__ = ("_member", "_parts")

    def __init__(self, path: str) -> None:
        self._parts = path.split(".")
        self._member = f'"{self._parts[-1]}"'.encode()

    def __call__(self, document: dict[str, Any]) -> str:
        """The value of a decoded object."""
        value: Any = document
        for part in self._parts:
            if not isinstance(value, dict):
                return ""
            value = value.get(part)
        match value:
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case _:
                return str(value)

    def told(self, encoded: bytes, wanted: str) -> bool | None:
        """Whether an encoded object has this value; None if it has to be decoded to know."""
        if self._member not in encoded:
            return not wanted
        if wanted and _is_plain(wanted) and wanted.encode() not in encoded:
            return False
        return None


def _is_plain(text: str) -> bool:
    """Whether a text stands in JSON as it is."""
    return text.isascii() and text.replace("-", "").replace(".", "").isalnum()
