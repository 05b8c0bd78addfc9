"""Paths of fields within a schema, as a rule's `fieldPath` and a version's `selectableFields` write them: `.spec.size`,
`.metadata['a.b']`.

Source: Kubernetes' apiextensions-apiserver, schema/cel/validation.go (ValidFieldPath).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|[.\[\]]|[^.\[\]]+")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


def resolve(path: str, schema: Schema, *, brackets: bool = True) -> tuple[str, Schema]:
    """The path in the form of error messages, and the schema of what it leads to. Raises ValueError, saying why not."""
    written = ""
    tokens = iter(_TOKEN.findall(path))
    for token in tokens:
        if token == "[":
            if not brackets:
                raise ValueError("array notation is not allowed")
            name = _unquoted(_next(tokens))
            if (closing := _next(tokens)) != "]":
                raise ValueError(f"expected ] but got {closing}")
        elif token == ".":
            name = _next(tokens)
        else:
            raise ValueError(f"expected [ or . but got: {token}")
        properties, values = schema.get("properties"), schema.get("additionalProperties")
        if properties is not None:
            if name not in properties:
                raise ValueError("does not refer to a valid field")
            written = f"{written}.{name}" if written else name
            schema = properties[name]
        elif isinstance(values, Mapping):
            written = f"{written}[{name}]"
            schema = values
        else:
            raise ValueError("does not refer to a valid field")
    return written, schema


def _next(tokens: Iterator[str]) -> str:
    try:
        return next(tokens)
    except StopIteration:
        raise ValueError("unexpected end of JSON path") from None


def _unquoted(token: str) -> str:
    if len(token) < 2 or not (token[0] == token[-1] == "'"):
        raise ValueError(f"expected single quoted string but got {token}")

    def unescape(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise ValueError(f"invalid string literal: invalid escape char {found[0]}")
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.)", unescape, token[1:-1])
