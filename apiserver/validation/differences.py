"""What changed between two documents, in lines that a person can read: the end of messages about immutable specs.

Source: the shape of Kubernetes' messages, which print a comparison of Go structures there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_MOST_LINES = 40


def difference(old: Any, new: Any, name: str) -> str:
    """Lines with `-` for what was there and `+` for what is, members that are the same left out."""
    lines = list(_lines(old, new, ""))
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], "  \t..."]
    return "\n".join([f"  {name}{{", *lines, "  }", ""])


def _lines(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if old.get(key) != new.get(key):
                yield from _lines(old.get(key), new.get(key), f"{path}.{_go(key)}" if path else _go(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            if before != after:
                yield from _lines(before, after, f"{path}[{index}]")
    else:
        if old is not None:
            yield f"- \t{path}: {_value(old)},"
        if new is not None:
            yield f"+ \t{path}: {_value(new)},"


def _go(key: str) -> str:
    return key[:1].upper() + key[1:]


def _value(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()
