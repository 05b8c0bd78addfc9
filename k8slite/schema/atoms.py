"""The schema as field ownership and merging by server-side apply see it: what is one thing, and what has parts.

An `Atom` describes the values that may stand at one place. It is made from the facts of a built-in kind (`atom_of`), or
by others from the structural schema of a custom resource. Types may contain themselves, so parts are made on demand.

Source: Kubernetes documentation, "Server-Side Apply: merge strategy"; sigs.k8s.io/structured-merge-diff, schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from .facts import FieldFacts, TypeFacts

Form = Literal["scalar", "map", "list", "any"]
Merging = Literal["atomic", "granular", "set", "keyed"]


_NONE: frozenset[str] = frozenset()


class Atom:
    """What may stand at a place.

    `form` any means that the schema does not say: the value's own shape decides, lists are atomic. A map is `atomic` or
    `granular`: its `fields` are known by name, all others are an `element`. A list is `atomic`, a `set` of scalars, or
    `keyed`: its elements are told apart by the fields in `keys` (sorted), whose `defaults` stand in for absent ones.

    `opens_maps` and `opens_lists` say whether a map, or a list, that stands here has parts that are owned apart.
    """

    __slots__ = (
        *("_element", "_fields", "_inherent", "_load", "_parts"),
        *("defaults", "form", "keys", "merging", "opens_lists", "opens_maps"),
    )

    def __init__(
        self,
        form: Form,
        *,
        merging: Merging = "atomic",
        fields: Callable[[], Mapping[str, Atom]] | None = None,
        element: Callable[[], Atom] | None = None,
        keys: tuple[str, ...] = (),
        defaults: Mapping[str, Any] | None = None,
        inherent: Callable[[], frozenset[str]] | None = None,
    ) -> None:
        self.form = form
        self.merging = merging
        self.keys = keys
        self.defaults: Mapping[str, Any] = defaults or {}
        self.opens_maps = form in ("map", "any") and merging != "atomic"
        self.opens_lists = form == "list" and merging != "atomic"
        self._load = fields
        self._fields: Mapping[str, Atom] | None = None
        self._parts: dict[str, tuple[str, Atom]] | None = None
        self._inherent: frozenset[str] | Callable[[], frozenset[str]] = inherent or _NONE
        self._element: Atom | Callable[[], Atom] | None = element

    @property
    def fields(self) -> Mapping[str, Atom]:
        """The parts of a map that have names."""
        if self._fields is None:
            self._fields = self._load() if self._load else {}
        return self._fields

    @property
    def parts(self) -> dict[str, tuple[str, Atom]]:
        """The same with the step that leads to each in a set of fields: `f:` and its name."""
        if self._parts is None:
            self._parts = {name: ("f:" + name, atom) for name, atom in self.fields.items()}
        return self._parts

    @property
    def inherent(self) -> frozenset[str]:
        """Names of the containers that every such map has, empty if not said otherwise: nobody owns them."""
        if not isinstance(self._inherent, frozenset):
            self._inherent = self._inherent()
        return self._inherent

    @property
    def element(self) -> Atom | None:
        """A list's elements, or a map's values under other names; None if such are unknown."""
        if self._element is not None and not isinstance(self._element, Atom):
            self._element = self._element()
        return self._element

    def at(self, name: str) -> Atom:
        """The part of a map under a name."""
        return self.fields.get(name) or self.element or ANY


SCALAR = Atom("scalar")
ANY = Atom("any", merging="granular")
OPAQUE = Atom("any", merging="atomic")

_known: dict[TypeFacts, Atom] = {}

_BY_VALUE = (
    "Spec",
    "Status",
    "Strategy",
    "ObjectMeta",
    "NodeSystemInfo",
    "NodeDaemonEndpoints",
    "ResourceRequirements",
)
_BY_REFERENCE = frozenset({"NodeConfigStatus", "ModifyVolumeStatus"})

#: The only defaults of fields that tell the elements of lists apart.
_KEY_DEFAULTS = {"ContainerPort": {"protocol": "TCP"}, "ServicePort": {"protocol": "TCP"}}


def atom_of(facts: TypeFacts) -> Atom:
    """A built-in type."""
    known = _known.get(facts)
    if known is None:
        known = _known[facts] = Atom(
            "map",
            merging="atomic" if facts.map_type == "atomic" else "granular",
            fields=lambda: {field.name: _field(field, 0) for field in facts.fields.values()},
            inherent=lambda: frozenset(field.name for field in facts.fields.values() if _is_inherent(field)),
        )
    return known


def _is_inherent(field: FieldFacts) -> bool:
    """Whether Kubernetes' own types hold a container by value, so that no object is without it.

    The definitions do not say so. By value are what every object has, its parts named after their role, and lists that
    are required.
    """
    if field.shape:
        return field.required
    return field.type is not None and field.type.struct.endswith(_BY_VALUE) and field.type.struct not in _BY_REFERENCE


def _field(field: FieldFacts, depth: int) -> Atom:
    if depth == len(field.shape):
        if field.type is not None:
            return atom_of(field.type) if field.map_type != "atomic" or depth else Atom("map", fields=dict)
        return {"any": ANY, "object": OPAQUE}.get(field.scalar, SCALAR)

    def element() -> Atom:
        return _field(field, depth + 1)

    if field.shape[depth] == "map":
        atomic = field.map_type == "atomic" and not depth
        return Atom("map", merging="atomic" if atomic else "granular", element=element)
    marked, keys = ("atomic", ()) if depth else _list_type(field)
    if marked == "map":
        defaults = _KEY_DEFAULTS.get(field.type.struct) if field.type else None
        return Atom("list", merging="keyed", element=element, keys=keys, defaults=defaults)
    return Atom("list", merging="set" if marked == "set" else "atomic", element=element)


def _list_type(field: FieldFacts) -> tuple[str, tuple[str, ...]]:
    """How a list merges, and by which keys; lists that only say how they are patched merge as they are patched."""
    if field.list_type or "merge" not in field.patch_strategy:
        return field.list_type, tuple(sorted(field.list_map_keys))
    return ("map", (field.merge_key,)) if field.merge_key else ("set", ())
