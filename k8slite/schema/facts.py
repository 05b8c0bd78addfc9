"""The facts about every type: a view of `facts.json` that can be walked.

Strategic merge, server-side apply, the decoder and the OpenAPI documents all walk the same graph of `TypeFacts`. Types
are read when they are first looked at, because one program uses few of the 860, and because some contain themselves.

Source: the OpenAPI definitions of Kubernetes v1.37; `scripts/build_schema.py` writes the file and describes its form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import orjson

Fields = Mapping[str, "FieldFacts"]

#: What `FieldFacts.scalar` may be; `any` and `object` are kept as they come.
SCALARS = frozenset(
    {
        *("string", "boolean", "int32", "int64", "double", "byte"),
        *("time", "microtime", "quantity", "int-or-string", "object", "any"),
    }
)


#: Members that come first, in this order; the rest follow alphabetically, `status` last. A stored document starts with
#: kind and apiVersion, and its metadata with the resourceVersion that the store fills in.
_FIRST = (
    *("kind", "apiVersion", "metadata"),
    *("resourceVersion", "name", "generateName", "namespace", "uid", "generation", "creationTimestamp"),
)


class TypeFacts:
    """A structure: a kind such as Deployment, or a part of one such as Container.

    `name` is the OpenAPI definition's, `map_type` is `granular` or `atomic` (server-side apply replaces an atomic one
    as a whole), `kinds` the (group, version, kind) triples that it speaks for.
    """

    __slots__ = ("_fields", "_load", "kinds", "map_type", "name")

    def __init__(
        self,
        name: str,
        load: Callable[[], Fields],
        *,
        map_type: str = "granular",
        kinds: tuple[tuple[str, str, str], ...] = (),
    ) -> None:
        self.name = name
        self.map_type = map_type
        self.kinds = kinds
        self._load = load
        self._fields: Fields | None = None

    @property
    def fields(self) -> Fields:
        """Its fields by name, in the order in which documents carry them."""
        if self._fields is None:
            self._fields = self._load()
        return self._fields

    def field(self, name: str) -> FieldFacts | None:
        """The field of that name; None if the type does not know it."""
        return self.fields.get(name)

    @property
    def struct(self) -> str:
        """Its name alone: `DeploymentSpec`."""
        return self.name.rsplit(".", 1)[-1]

    @property
    def go_name(self) -> str:
        """Its name as Kubernetes' errors print it: `v1.DeploymentSpec`."""
        return ".".join(self.name.rsplit(".", 2)[-2:])

    def __repr__(self) -> str:
        return f"TypeFacts({self.name})"


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """A field: its shape from the outside in, and what is at the bottom.

    `[]Container` has the shape `("list",)` and the type Container; `map[string]string` has `("map",)`, no type and the
    scalar `string`. `type` is None exactly when `scalar` is set. The merge marks are Kubernetes' own: `patch_strategy`
    and `merge_key` rule strategic merge patches, `list_type` (`atomic`, `set`, `map`) and `list_map_keys` server-side
    apply.
    """

    name: str
    shape: tuple[Literal["list", "map"], ...]
    type: TypeFacts | None
    scalar: str
    required: bool
    patch_strategy: frozenset[str] = frozenset()
    merge_key: str = ""
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""

    @property
    def is_list(self) -> bool:
        """Whether its value is a list."""
        return self.shape[:1] == ("list",)

    @property
    def is_map(self) -> bool:
        """Whether its value is a map with free keys."""
        return self.shape[:1] == ("map",)

    @property
    def go_type(self) -> str:
        """Its type as Kubernetes' errors print it: `[]v1.Container`, `map[string]string`, `int32`."""
        prefix = "".join("[]" if step == "list" else "map[string]" for step in self.shape)
        return prefix + (self.type.go_name if self.type else _GO_SCALARS.get(self.scalar, self.scalar))


_GO_SCALARS = {
    "boolean": "bool",
    "double": "float64",
    "byte": "[]uint8",
    "time": "v1.Time",
    "microtime": "v1.MicroTime",
    "quantity": "resource.Quantity",
    "int-or-string": "intstr.IntOrString",
    "object": "runtime.RawExtension",
    "any": "interface {}",
}


class FactsTable:
    """All definitions of one facts document, and the kinds among them."""

    def __init__(self, document: bytes) -> None:
        raw = orjson.loads(document)
        self.version: str = raw["version"]
        self._raw: dict[str, Any] = raw["definitions"]
        self._types: dict[str, TypeFacts] = {}
        self._kinds: dict[tuple[str, str, str], str] = {}
        for name, facts in self._raw.items():
            for group, version, kind in facts.get("kinds", ()):
                self._kinds[(group, version, kind)] = name

    def names(self) -> list[str]:
        """The name of every definition."""
        return list(self._raw)

    def by_kind(self, group: str, version: str, kind: str) -> TypeFacts | None:
        """The type of a kind; None if the table does not have it."""
        name = self._kinds.get((group, version, kind))
        return self.by_name(name) if name else None

    def by_name(self, name: str) -> TypeFacts:
        """The type of a definition. Raises KeyError."""
        known = self._types.get(name)
        if known is None:
            facts = self._raw[name]
            known = self._types[name] = TypeFacts(
                name,
                lambda: {field: self._field(field, facts["fields"][field]) for field in _ordered(facts["fields"])},
                map_type=facts.get("map", "granular"),
                kinds=tuple((group, version, kind) for group, version, kind in facts.get("kinds", ())),
            )
        return known

    def _field(self, name: str, marked: Any) -> FieldFacts:
        text, marks = (marked, {}) if isinstance(marked, str) else marked
        required = text.endswith("!")
        text = text.removesuffix("!")
        shape: list[Literal["list", "map"]] = []
        while text[:2] in ("[]", "{}"):
            shape.append("list" if text[0] == "[" else "map")
            text = text[2:]
        scalar = text if text in SCALARS else ""
        return FieldFacts(
            name=name,
            shape=tuple(shape),
            type=None if scalar else self.by_name(text),
            scalar=scalar,
            required=required,
            patch_strategy=frozenset(marks["patch"].split(",")) if "patch" in marks else frozenset(),
            merge_key=marks.get("merge", ""),
            list_type=marks.get("list", ""),
            list_map_keys=tuple(marks.get("keys", ())),
            map_type=marks.get("map", ""),
        )


def _ordered(names: Mapping[str, Any]) -> list[str]:
    first = [name for name in _FIRST if name in names]
    rest = [name for name in names if name not in _FIRST and name != "status"]
    return first + rest + (["status"] if "status" in names else [])


@cache
def builtin_facts() -> FactsTable:
    """The facts of the built-in kinds."""
    return FactsTable(resources.files(__package__).joinpath("facts.json").read_bytes())
