"""The OpenAPI 2 document in protobuf, the only form in which kubectl and Helm ask for it.

They fall back on it for kinds that no OpenAPI 3 document knows; without an answer a manifest of a kind that is not
served fails for the wrong reason. Only what our documents contain is written.

Source: google/gnostic-models, openapiv2/OpenAPIv2.proto; protobuf's encoding guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from .definitions import Schema

ACCEPTED = frozenset(f"application/com.github.proto-openapi.spec.v2{mark}v1.0+protobuf" for mark in "@.")
MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}
_LENGTH_DELIMITED = 2


def encode(document: Schema) -> bytes:
    """A whole document (message Document)."""
    info = document["info"]
    return b"".join(
        [
            _text(1, document["swagger"]),
            _part(2, _text(1, info["title"]) + _text(2, info["version"])),
            _part(8, _named(2, ((path, _path_item(item)) for path, item in document["paths"].items()))),
            _part(9, _named(1, ((name, _schema(one)) for name, one in document["definitions"].items()))),
        ]
    )


def _schema(schema: Mapping[str, Any]) -> bytes:
    parts: list[bytes] = []
    for name, value in schema.items():
        match name:
            case "$ref":
                parts.append(_text(1, value))
            case "format":
                parts.append(_text(2, value))
            case "required":
                parts += (_text(19, each) for each in value)
            case "additionalProperties":
                parts.append(_part(21, _part(1, _schema(value))))
            case "type":
                parts.append(_part(22, _text(1, value)))
            case "items":
                parts.append(_part(23, _part(1, _schema(value))))
            case "properties":
                parts.append(_part(25, _named(1, ((key, _schema(one)) for key, one in value.items()))))
    return b"".join(parts) + _extensions(31, schema)


def _path_item(item: Mapping[str, Any]) -> bytes:
    operations = (_part(_METHODS[name], _operation(one)) for name, one in item.items() if name in _METHODS)
    return b"".join(operations) + b"".join(_parameter(9, one) for one in item.get("parameters", ()))


def _operation(operation: Mapping[str, Any]) -> bytes:
    responses = ((code, _part(1, _response(one))) for code, one in operation["responses"].items())
    return b"".join(
        [
            *(_text(1, tag) for tag in operation["tags"]),
            _text(5, operation["operationId"]),
            *(_text(6, media) for media in operation["produces"]),
            *(_text(7, media) for media in operation["consumes"]),
            *(_parameter(8, one) for one in operation["parameters"]),
            _part(9, _named(1, responses)),
            *(_text(10, scheme) for scheme in operation["schemes"]),
            _extensions(13, operation),
        ]
    )


def _response(response: Mapping[str, Any]) -> bytes:
    description = _text(1, response["description"])
    return description + (_part(2, _part(1, _schema(response["schema"]))) if "schema" in response else b"")


def _parameter(number: int, parameter: Mapping[str, Any]) -> bytes:
    """A ParametersItem: a body parameter, or one of the query or the path."""
    place, required = parameter["in"], bool(parameter.get("required"))
    if place == "body":
        body = (
            _text(2, parameter["name"]) + _text(3, place) + _flag(4, required) + _part(5, _schema(parameter["schema"]))
        )
        return _part(number, _part(1, _part(1, body)))
    query = place == "query"
    fields = (
        _flag(1, required) + _text(2, place) + _text(4, parameter["name"]) + _text(6 if query else 5, parameter["type"])
    )
    fields += _flag(20 if query else 19, bool(parameter.get("uniqueItems")))
    return _part(number, _part(1, _part(2, _part(3 if query else 4, fields))))


def _extensions(number: int, holder: Mapping[str, Any]) -> bytes:
    """Members that begin with `x-`, their values as YAML (which JSON is)."""
    marks = ((name, _text(2, orjson.dumps(value).decode())) for name, value in holder.items() if name.startswith("x-"))
    return _named(number, marks)


def _named(number: int, entries: Iterable[tuple[str, bytes]]) -> bytes:
    """A map: pairs of a name (1) and a message (2)."""
    return b"".join(_part(number, _text(1, name) + _part(2, message)) for name, message in entries)


def _text(number: int, value: str) -> bytes:
    return _part(number, value.encode())


def _flag(number: int, value: bool) -> bytes:
    return _varint(number << 3) + b"\x01" if value else b""


def _part(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
