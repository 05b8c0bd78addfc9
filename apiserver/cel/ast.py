"""The checked syntax tree of an expression, as plain dataclasses.

The type checker hands it out as a serialized `cel.expr.CheckedExpr`. That message is read here by its field numbers:
the wire format is stable, and generated protobuf classes for it come with no package that the server needs otherwise.

Source: cel-spec, proto/cel/expr/{syntax,checked}.proto; the protocol buffers' encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .values import UInt

Wire = int | bytes


@dataclass(frozen=True, slots=True)
class TypeOf:
    """What the checker found out about a node: `kind` is list, map, object, string, int …; `params` of a container.

    `name` is that of an object's type.
    """

    kind: str
    params: tuple[TypeOf, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(str, self.params))})" if self.params else self.name or self.kind


DYN = TypeOf("dyn")


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `id` is the checker's; `type` what it evaluates to; `overloads` the candidates of a call."""

    id: int
    type: TypeOf


@dataclass(frozen=True, slots=True)
class Const(Node):
    """A literal."""

    value: object


@dataclass(frozen=True, slots=True)
class Ident(Node):
    """A variable, or the name of a type."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """`operand.field`, or `has(operand.field)` when `test` is set."""

    operand: Node
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function or operator; `target` is what a member function is called on."""

    function: str
    target: Node | None
    args: tuple[Node, ...]
    overloads: tuple[str, ...]

    @property
    def operands(self) -> tuple[Node, ...]:
        """The target, if any, and the arguments."""
        return self.args if self.target is None else (self.target, *self.args)


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """A list literal; `optional` holds the indexes of `?element`."""

    elements: tuple[Node, ...]
    optional: frozenset[int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a map or object literal; `key` is a field's name in an object."""

    key: Node | str
    value: Node
    optional: bool


@dataclass(frozen=True, slots=True)
class StructOf(Node):
    """A map literal, or an object's when `name` is not empty."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Comprehension(Node):
    """What the macros all, exists, map, filter, bind … become: a fold.

    With a `second` variable, the first is the index or key and the second the element or value.
    """

    variable: str
    over: Node
    accumulator: str
    initial: Node
    condition: Node
    step: Node
    result: Node
    second: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A whole expression that passed the type checker."""

    root: Node
    variables: frozenset[str]
    """Every name that it refers to, variables of macros included."""
    literals: frozenset[str]
    """The types of which it writes objects, as `Type{field: value}`."""


def parse(serialized: bytes, types: Mapping[str, str] | None = None) -> Checked:
    """Read a `CheckedExpr`, serialized in the `google.protobuf.Any` that the checker wraps it in.

    `types` says what types of objects are to be called that were given other names for the checker.
    """
    top = _fields(_bytes(_fields(serialized)[2][0]))
    called = types or {}
    reader = _Reader(
        types={key: _called(_type(value), called) for key, value in _entries(top.get(3, ()))},
        overloads={
            key: tuple(_text(item) for item in _fields(value).get(3, ())) for key, value in _entries(top.get(2, ()))
        },
        called=called,
    )
    root = reader.node(_bytes(top[4][0]))
    return Checked(root, frozenset(reader.names), frozenset(reader.literals))


@dataclass(slots=True)
class _Reader:
    types: Mapping[int, TypeOf]
    overloads: Mapping[int, tuple[str, ...]]
    called: Mapping[str, str]
    names: set[str] = field(default_factory=set)
    literals: set[str] = field(default_factory=set)

    def node(self, raw: bytes) -> Node:
        fields = _fields(raw)
        number = _number(fields, 2)
        kind = self.types.get(number, DYN)
        if 3 in fields:
            return Const(number, kind, _constant(_bytes(fields[3][0])))
        if 4 in fields:
            name = _string(_fields(_bytes(fields[4][0])), 1)
            self.names.add(name)
            return Ident(number, kind, name)
        for code, read in ((5, self._select), (6, self._call), (7, self._list), (8, self._struct), (9, self._fold)):
            if code in fields:
                return read(number, kind, _fields(_bytes(fields[code][0])))
        return Const(number, kind, None)

    def _select(self, number: int, kind: TypeOf, fields: _Fields) -> Node:
        return Select(number, kind, self.node(_bytes(fields[1][0])), _string(fields, 2), bool(_number(fields, 3)))

    def _call(self, number: int, kind: TypeOf, fields: _Fields) -> Node:
        target = self.node(_bytes(fields[1][0])) if 1 in fields else None
        args = tuple(self.node(_bytes(item)) for item in fields.get(3, ()))
        return Call(number, kind, _string(fields, 2), target, args, self.overloads.get(number, ()))

    def _list(self, number: int, kind: TypeOf, fields: _Fields) -> Node:
        optional: set[int] = set()
        for item in fields.get(2, ()):
            optional.update(_packed(item) if isinstance(item, bytes) else (item,))
        return ListOf(number, kind, tuple(self.node(_bytes(item)) for item in fields.get(1, ())), frozenset(optional))

    def _struct(self, number: int, kind: TypeOf, fields: _Fields) -> Node:
        entries = []
        for item in fields.get(2, ()):
            entry = _fields(_bytes(item))
            key = self.node(_bytes(entry[3][0])) if 3 in entry else _string(entry, 2)
            entries.append(Entry(key, self.node(_bytes(entry[4][0])), bool(_number(entry, 5))))
        name = _string(fields, 1)
        if name:
            name = self.called.get(name, name)
            self.literals.add(name)
        return StructOf(number, kind, name, tuple(entries))

    def _fold(self, number: int, kind: TypeOf, fields: _Fields) -> Node:
        def child(code: int) -> Node:
            return self.node(_bytes(fields[code][0]))

        return Comprehension(
            number,
            kind,
            _string(fields, 1),
            child(2),
            _string(fields, 3),
            child(4),
            child(5),
            child(6),
            child(7),
            _string(fields, 8),
        )


_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN = {1: "dyn", 2: "timestamp", 3: "duration"}


def _type(raw: bytes) -> TypeOf:
    fields = _fields(raw)
    if 3 in fields or 4 in fields:
        return TypeOf(_PRIMITIVES.get(_number(fields, 3) or _number(fields, 4), "dyn"))
    if 5 in fields:
        return TypeOf(_WELL_KNOWN.get(_number(fields, 5), "dyn"))
    if 6 in fields:
        element = _fields(_bytes(fields[6][0])).get(1)
        return TypeOf("list", (_type(_bytes(element[0])) if element else DYN,))
    if 7 in fields:
        parts = _fields(_bytes(fields[7][0]))
        return TypeOf("map", tuple(_type(_bytes(parts[code][0])) if code in parts else DYN for code in (1, 2)))
    if 9 in fields:
        return TypeOf("object", name=_string(fields, 9))
    if 11 in fields:
        return TypeOf("type")
    if 14 in fields:
        parts = _fields(_bytes(fields[14][0]))
        return TypeOf(_string(parts, 1), tuple(_type(_bytes(item)) for item in parts.get(2, ())))
    return TypeOf("null_type") if 2 in fields else DYN


def _called(kind: TypeOf, types: Mapping[str, str]) -> TypeOf:
    if not types:
        return kind
    params = tuple(_called(inner, types) for inner in kind.params)
    return TypeOf(kind.kind, params, types.get(kind.name, kind.name))


def _constant(raw: bytes) -> object:
    fields = _fields(raw)
    if 2 in fields:
        return bool(_number(fields, 2))
    if 3 in fields:
        return _number(fields, 3)
    if 4 in fields:
        return UInt(_number(fields, 4) & 0xFFFF_FFFF_FFFF_FFFF)
    if 5 in fields:
        return float(struct.unpack("<d", _bytes(fields[5][0]))[0])
    if 6 in fields:
        return _string(fields, 6)
    return _bytes(fields[7][0]) if 7 in fields else None


_Fields = dict[int, list[Wire]]


def _fields(raw: bytes) -> _Fields:
    """A message by field number; each field's values in their order."""
    found: _Fields = {}
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        match tag & 7:
            case 0:
                value: Wire
                value, at = _varint(raw, at)
            case 1:
                value, at = raw[at : at + 8], at + 8
            case 2:
                size, at = _varint(raw, at)
                value, at = raw[at : at + size], at + size
            case _:
                value, at = raw[at : at + 4], at + 4
        found.setdefault(tag >> 3, []).append(value)
    return found


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    shift = value = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _packed(raw: bytes) -> Iterator[int]:
    at = 0
    while at < len(raw):
        value, at = _varint(raw, at)
        yield value


def _entries(items: list[Wire] | tuple[()]) -> Iterator[tuple[int, bytes]]:
    """The entries of a map<int64, message> field."""
    for item in items:
        entry = _fields(_bytes(item))
        yield _number(entry, 1), _bytes(entry[2][0]) if 2 in entry else b""


def _number(fields: _Fields, code: int) -> int:
    value = fields.get(code, [0])[0]
    number = value if isinstance(value, int) else 0
    return number - (1 << 64) if number >> 63 else number


def _bytes(value: Wire) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: Wire) -> str:
    return _bytes(value).decode()


def _string(fields: _Fields, code: int) -> str:
    return _text(fields[code][0]) if code in fields else ""
