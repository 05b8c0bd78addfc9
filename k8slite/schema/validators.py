"""The fast road: facts compiled to pydantic-core validators.

A validator admits a document only if it is already what the slow road (`decoder.py`) would make of it: canonical
scalars, no null, no unknown field, nothing empty that may be absent, everything that is required. One pass in Rust then
yields the finished dictionary. Anything else is a reason to take the slow road, never an answer to a client.
"""

from __future__ import annotations

from pydantic_core import CoreSchema, SchemaValidator, core_schema

from .facts import FieldFacts, TypeFacts
from .scalars import core_schemas, required_string
from .semantics import is_demanded, may_vanish


def compile_type(facts: TypeFacts) -> SchemaValidator:
    """The validator of a kind."""
    compiler = _Compiler()
    root = compiler.reference(facts, demanding=True, root=True)
    return SchemaValidator(core_schema.definitions_schema(root, compiler.definitions))


class _Compiler:
    """Gathers the definitions that a kind reaches.

    A type inside a status is compiled without its required fields: statuses come from programs, which leave out what
    they do not know yet, and Kubernetes does not validate them for that.
    """

    def __init__(self) -> None:
        self.definitions: list[CoreSchema] = []
        self._scalars = core_schemas()
        self._known: set[str] = set()

    def reference(self, facts: TypeFacts, *, demanding: bool, root: bool = False) -> CoreSchema:
        name = facts.name if demanding else facts.name + "?"
        if name not in self._known:
            self._known.add(name)
            self.definitions.append(self._structure(facts, name, demanding=demanding, root=root))
        return core_schema.definition_reference_schema(name)

    def _structure(self, facts: TypeFacts, name: str, *, demanding: bool, root: bool) -> CoreSchema:
        fields: dict[str, core_schema.TypedDictField] = {}
        for field in facts.fields.values():
            below = demanding and not (root and field.name == "status")
            demanded = below and is_demanded(facts, field)
            fields[field.name] = core_schema.typed_dict_field(
                self._field(field, demanding=below, demanded=demanded), required=demanded
            )
        return core_schema.typed_dict_schema(fields, extra_behavior="forbid", ref=name)

    def _field(self, field: FieldFacts, *, demanding: bool, demanded: bool) -> CoreSchema:
        if field.type is not None:
            schema = self.reference(field.type, demanding=demanding)
        elif demanded and field.scalar == "string" and not field.shape:
            schema = required_string()
        else:
            schema = self._scalars[field.scalar]
        for depth, step in reversed(list(enumerate(field.shape))):
            least = 1 if depth == 0 and (demanded or may_vanish(field)) else None
            if step == "list":
                schema = core_schema.list_schema(schema, min_length=least)
            else:
                schema = core_schema.dict_schema(self._scalars["string"], schema, min_length=least)
        return schema
