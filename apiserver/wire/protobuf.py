"""Kubernetes' protobuf encoding, read: Go clients (kubectl among them) send built-in kinds in it.

Answers are JSON, which every client takes. A message becomes the same dictionary that its JSON would be, guided by two
tables: `protobuf.json` gives each field number its name, the facts give each name its type. The decoder then treats it
as any other body.

Source: Kubernetes documentation, "API concepts: Kubernetes Protobuf encoding"; protobuf's encoding guide.
`scripts/build_protobuf.py` writes the table.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

import orjson

from k8slite.clock import micro_timestamp, timestamp
from k8slite.errors import ApiError, bad_request
from k8slite.schema import FieldFacts, TypeFacts, builtin_facts

from .limits import MOST_VALUES, too_many_values

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_DEPTH = 100
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
Value = int | memoryview
Document = dict[str, Any]


class ProtobufError(Exception):
    """The bytes are no message of the expected type."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A field: `inline` names a struct whose fields are the parent's; `optional` keeps zero values."""

    name: str
    inline: str
    optional: bool


def decode(body: bytes) -> Document:
    """A body in Kubernetes' envelope as a document with its kind and apiVersion. Raises ApiError 400, 413."""
    try:
        return _decode(body, _Reader())
    except ProtobufError as error:
        raise _unreadable(str(error)) from error
    except (IndexError, ValueError, struct.error, RecursionError, OverflowError, OSError) as error:
        raise _unreadable("truncated or malformed message") from error


def _unreadable(detail: str) -> ApiError:
    return bad_request(f"unable to decode protobuf: {detail}")


def _decode(body: bytes, reader: _Reader) -> Document:
    if not body.startswith(_MAGIC):
        raise ProtobufError("the envelope is missing")
    api_version = kind = ""
    raw = memoryview(b"")
    for number, value in _fields(memoryview(body)[len(_MAGIC) :]):
        if number == 1:
            for part, text in _fields(_bytes(value)):
                if part == 1:
                    api_version = _text(text)
                elif part == 2:
                    kind = _text(text)
        elif number == 2:
            raw = _bytes(value)
    group, _, version = api_version.rpartition("/")
    facts = builtin_facts().by_kind(group, version, kind)
    if facts is None and kind == "DeleteOptions":
        facts = builtin_facts().by_name(_DELETE_OPTIONS)  # it may name any group
    if facts is None or facts.name not in _table():
        raise ProtobufError(f"no protobuf encoding is known for {api_version}, Kind={kind}")
    return {"kind": kind, "apiVersion": api_version, **reader.message(raw, facts, facts.name, 0)}


@cache
def _table() -> dict[str, str]:
    table: dict[str, str] = orjson.loads(resources.files(__package__).joinpath("protobuf.json").read_bytes())
    return table


@cache
def _rows(name: str) -> dict[int, _Row]:
    rows: dict[int, _Row] = {}
    for entry in _table().get(name, "").split():
        number, _, field = entry.partition(":")
        if field.startswith("+"):
            rows[int(number)] = _Row("", field[1:], False)
        else:
            rows[int(number)] = _Row(field.removesuffix("*"), "", field.endswith("*"))
    return rows


class _Reader:
    """Reads the messages of one body, and counts what they hold."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def message(self, data: memoryview, facts: TypeFacts, name: str, depth: int) -> Document:
        """A message of the type `name`, whose fields are those of `facts` (they differ for an inlined struct)."""
        if depth > _DEPTH:
            raise ProtobufError("exceeded max depth")
        rows = _rows(name)
        document: Document = {}
        for number, value in _fields(data):
            row = rows.get(number)
            self._count()
            if row is None:
                continue
            if row.inline:
                document.update(self.message(_bytes(value), facts, row.inline, depth + 1))
                continue
            field = facts.field(row.name)
            if field is None:
                continue
            if field.is_map:
                key, item = self._entry(_bytes(value), field, depth)
                document.setdefault(row.name, {})[key] = item
            elif field.is_list:
                document.setdefault(row.name, []).extend(self._items(value, field, depth))
            else:
                decoded = self._single(value, field, depth)
                if row.optional or not _is_zero(decoded):
                    document[row.name] = decoded
                else:
                    document.pop(row.name, None)
        return document

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise too_many_values()

    def _entry(self, data: memoryview, field: FieldFacts, depth: int) -> tuple[str, Any]:
        key = ""
        item: Any = None
        for number, value in _fields(data):
            self._count()
            if number == 1:
                key = _text(value)
            elif number == 2:
                if field.shape == ("map", "list"):
                    # A map of lists: each list is a message of its own.
                    item = [self._single(each, field, depth) for part, each in _fields(_bytes(value)) if part == 1]
                    self._left -= len(item)
                else:
                    item = self._single(value, field, depth)
        if item is None:
            item = [] if field.shape == ("map", "list") else {} if field.type is not None else ""
        return key, item

    def _items(self, value: Value, field: FieldFacts, depth: int) -> Iterator[Any]:
        if field.scalar in ("int32", "int64", "boolean") and isinstance(value, memoryview):
            offset = 0  # packed
            while offset < len(value):
                self._count()
                number, offset = _varint(value, offset)
                yield _scalar(number, field.scalar)
            return
        yield self._single(value, field, depth)

    def _single(self, value: Value, field: FieldFacts, depth: int) -> Any:
        if field.type is not None:
            return self.message(_bytes(value), field.type, field.type.name, depth + 1)
        return _scalar(value, field.scalar)


def _is_zero(value: Any) -> bool:
    return value is None or value in ("", 0, False) or value == {}


def _scalar(value: Value, scalar: str) -> Any:
    match scalar:
        case "string":
            return _text(value)
        case "int32" | "int64":
            return _signed(_integer(value))
        case "boolean":
            return bool(_integer(value))
        case "double":
            return struct.unpack("<d", _bytes(value))[0]
        case "byte":
            return base64.b64encode(_bytes(value)).decode()
        case "quantity":
            return _first_text(_bytes(value)) or "0"
        case "time":
            return _time(_bytes(value), micro=False)
        case "microtime":
            return _time(_bytes(value), micro=True)
        case "int-or-string":
            return _int_or_string(_bytes(value))
        case _:
            return _embedded(_bytes(value))


def _first_text(data: memoryview) -> str:
    return next((_text(value) for number, value in _fields(data) if number == 1), "")


def _embedded(data: memoryview) -> Any:
    """RawExtension, FieldsV1, JSON: a JSON document in field 1."""
    raw = next((_bytes(value) for number, value in _fields(data) if number == 1), None)
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError as error:
        raise ProtobufError("an embedded object is not JSON") from error


def _time(data: memoryview, *, micro: bool) -> str | None:
    """None for a time that is not set."""
    seconds = nanos = 0
    for number, value in _fields(data):
        if number == 1:
            seconds = _signed(_integer(value))
        elif number == 2:
            nanos = _signed(_integer(value))
    if not data or seconds < 0:
        return None
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)
    return micro_timestamp(moment) if micro else timestamp(moment)


def _int_or_string(data: memoryview) -> int | str:
    kind, number, text = 0, 0, ""
    for field, value in _fields(data):
        if field == 1:
            kind = _integer(value)
        elif field == 2:
            number = _signed(_integer(value))
        elif field == 3:
            text = _text(value)
    return text if kind == 1 else number


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message in order: numbers as unsigned integers, everything else as bytes."""
    offset, end = 0, len(data)
    while offset < end:
        tag, offset = _varint(data, offset)
        number, wire = tag >> 3, tag & 7
        match wire:
            case 0:
                value, offset = _varint(data, offset)
                yield number, value
            case 2:
                size, offset = _varint(data, offset)
                if offset + size > end:
                    raise ProtobufError("unexpected EOF")
                yield number, data[offset : offset + size]
                offset += size
            case 1 | 5:
                size = 8 if wire == 1 else 4
                yield number, data[offset : offset + size]
                offset += size
            case _:
                raise ProtobufError(f"illegal wireType {wire}")


def _varint(data: memoryview, offset: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, offset
        shift += 7
        if shift > 63:
            raise ProtobufError("integer overflow")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _integer(value: Value) -> int:
    if not isinstance(value, int):
        raise ProtobufError("wrong wireType")
    return value


def _bytes(value: Value) -> memoryview:
    if not isinstance(value, memoryview):
        raise ProtobufError("wrong wireType")
    return value


def _text(value: Value) -> str:
    return str(_bytes(value), "utf-8")
