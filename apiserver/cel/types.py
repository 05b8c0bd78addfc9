"""The types that variables are declared with, and how the type checker is told of them.

An object's type becomes a protobuf message made at run time, so that a misspelt field is a compile error. Protobuf
knows no list of lists and no map of lists: inside such fields the inner element is `dyn` to the checker. Values never
become messages; evaluation works on plain dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

_PACKAGE = "selfType"
#: Types of the libraries: to the checker, messages without fields.
_OPAQUE = {
    "kubernetes": ("URL", "Quantity", "Semver", "NamedFormat"),
    "kubernetes.authorization": ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision"),
    "net": ("IP", "CIDR"),
}
_UNBOUNDED = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeclType:
    """A declared type: its kind (`int`, `string`, `list`, `map`, `object`, `dyn` …) and what bounds its values.

    `max_elements` is the longest that a string, list or map can be, `min_size` the bytes of the smallest value in JSON.
    """

    kind: str
    element: DeclType | None = None
    key: DeclType | None = None
    fields: Mapping[str, DeclType] = field(default_factory=dict)
    max_elements: int = _UNBOUNDED
    min_size: int = 1


BOOL = DeclType("bool", min_size=4)
INT = DeclType("int")
DOUBLE = DeclType("double")
STRING = DeclType("string", max_elements=_UNBOUNDED - 2, min_size=2)
DYN = DeclType("dyn")
_KEY = DeclType("string", max_elements=0, min_size=2)


def list_of(element: DeclType, *, max_items: int | None = None) -> DeclType:
    """A list; without `max_items`, as long as a request can hold."""
    most = (_UNBOUNDED - 2) // (element.min_size + 1) if max_items is None else max(0, max_items)
    return DeclType("list", element=element, max_elements=most, min_size=2)


def map_of(element: DeclType, *, max_properties: int | None = None) -> DeclType:
    """A map from strings; without `max_properties`, as large as a request can hold.

    No schema can bound the keys; estimates count no letter of them, or no rule could look into one.
    """
    most = (_UNBOUNDED - 2) // (element.min_size + 6) if max_properties is None else max(0, max_properties)
    return DeclType("map", element=element, key=_KEY, max_elements=most, min_size=2)


def optional_of(element: DeclType) -> DeclType:
    """An optional value."""
    return DeclType("optional_type", element=element, max_elements=element.max_elements, min_size=element.min_size)


def split_type(text: str) -> tuple[str, list[str]]:
    """`map(string, list(T))` as its name and the texts of its parameters."""
    name, bracket, inner = text.partition("(")
    if not bracket:
        return name, []
    parts, depth, start = [], 0, 0
    inner = inner.removesuffix(")")
    for at, letter in enumerate(inner):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(inner[start:at].strip())
            start = at + 1
    return name, [*parts, inner[start:].strip()]


def written_type(text: str) -> Any:
    """The checker's type for one written as in `functions/base.py`."""
    from cel_expr_python import cel

    name, parameters = split_type(text)
    inner = [written_type(parameter) for parameter in parameters]
    match name:
        case "T":
            return cel.Type("~T")
        case "list":
            return cel.Type.List(inner[0])
        case "map":
            return cel.Type.Map(inner[0], inner[1])
        case "int" | "uint" | "double" | "bool" | "string" | "bytes" | "dyn" | "timestamp" | "duration":
            return getattr(cel.Type, name.upper())
        case "optional_type":
            return cel.Type.AbstractType(name, inner)
        case _:
            return cel.Type(name)


class Declarations:
    """The messages of all object types of one environment."""

    def __init__(self) -> None:
        self._file: FileDescriptorProto | None = None
        self._names: dict[int, str] = {}
        self._kept: list[DeclType] = []
        self._others: list[tuple[str, Mapping[str, str]]] = []

    def add(self, name: str, fields: Mapping[str, str]) -> None:
        """Declare a type that expressions may make objects of; its fields are scalars or `dyn`."""
        self._others.append((name, fields))

    def described(self, declared: DeclType, name: str) -> dict[str, Any]:
        """A variable's type as the checker's configuration describes it: the only way to declare an optional one."""
        match declared.kind:
            case "object":
                return {"type_name": f"{_PACKAGE}.{self._message(declared, name)}"}
            case "list":
                return {"type_name": "list", "params": [self.described(_element(declared), f"{name}_items")]}
            case "map":
                values = self.described(_element(declared), f"{name}_values")
                return {"type_name": "map", "params": [{"type_name": "string"}, values]}
            case "optional_type":
                return {"type_name": "optional_type", "params": [self.described(_element(declared), name)]}
            case _:
                return {"type_name": declared.kind}

    def pool(self) -> Any:
        """The descriptor pool with the messages, those of Kubernetes' own types among them."""
        from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2

        pool = descriptor_pool.DescriptorPool()
        for module in (struct_pb2, timestamp_pb2, duration_pb2):
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        for package, names in _OPAQUE.items():
            opaque = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
            for name in names:
                opaque.message_type.add(name=name)
            pool.AddSerializedFile(opaque.SerializeToString())
        if self._file is not None:
            pool.AddSerializedFile(self._file.SerializeToString())
        if self._others:
            others = descriptor_pb2.FileDescriptorProto(name="others.proto", syntax="proto3")
            others.dependency.append("google/protobuf/struct.proto")
            for name, fields in self._others:
                message = others.message_type.add(name=name)
                message.options.deprecated_legacy_json_field_conflicts = True
                for number, (field_name, kind) in enumerate(fields.items(), start=1):
                    entry = message.field.add(name=field_name, number=number if number < 19000 else number + 1000)
                    self._fill(entry, DeclType(kind), name=name, message=message)
            pool.AddSerializedFile(others.SerializeToString())
        return pool

    def _message(self, declared: DeclType, name: str) -> str:
        if id(declared) in self._names:
            return self._names[id(declared)]
        self._kept.append(declared)
        name = self._names[id(declared)] = f"{name}_{len(self._names)}" if self._names else name
        message = self._descriptor().message_type.add(name=name)
        message.options.deprecated_legacy_json_field_conflicts = True
        for number, (field_name, kind) in enumerate(declared.fields.items(), start=1):
            # Numbers from 19000 to 19999 are protobuf's own.
            entry = message.field.add(name=field_name, number=number if number < 19000 else number + 1000)
            self._fill(entry, kind, name=f"{name}_{field_name}", message=message)
        return name

    def _descriptor(self) -> FileDescriptorProto:
        if self._file is None:
            from google.protobuf import descriptor_pb2

            self._file = descriptor_pb2.FileDescriptorProto(name="self.proto", package=_PACKAGE, syntax="proto3")
            self._file.dependency.extend(
                f"google/protobuf/{name}.proto" for name in ("struct", "timestamp", "duration")
            )
        return self._file

    def _fill(self, entry: FieldDescriptorProto, declared: DeclType, *, name: str, message: DescriptorProto) -> None:
        entry.label = 1
        match declared.kind:
            case "list":
                entry.label = 3
                self._fill_single(entry, _element(declared), f"{name}_items")
            case "map":
                entry.label = 3
                entry.type = 11
                camel = "".join(part[:1].upper() + part[1:] for part in entry.name.split("_"))
                pair = message.nested_type.add(name=f"{camel}Entry")
                pair.options.map_entry = True
                pair.field.add(name="key", number=1, type=9, label=1)
                value = pair.field.add(name="value", number=2, label=1)
                self._fill_single(value, _element(declared), f"{name}_values")
                entry.type_name = f".{_PACKAGE}.{message.name}.{pair.name}"
            case _:
                self._fill_single(entry, declared, name)

    def _fill_single(self, entry: FieldDescriptorProto, declared: DeclType, name: str) -> None:
        if declared.kind in _SCALARS:
            entry.type = _SCALARS[declared.kind]
            return
        entry.type = 11
        entry.type_name = (
            f".{_PACKAGE}.{self._message(declared, name)}"
            if declared.kind == "object"
            else f".google.protobuf.{_WELL_KNOWN[declared.kind]}"
        )


def _element(declared: DeclType) -> DeclType:
    return declared.element or DYN


_SCALARS: dict[str, Any] = {"double": 1, "int": 3, "bool": 8, "string": 9, "bytes": 12}
_WELL_KNOWN = {
    "list": "ListValue",
    "map": "Struct",
    "dyn": "Value",
    "timestamp": "Timestamp",
    "duration": "Duration",
}
