"""The table of facts about every kind, and what is compiled from it: validators, OpenAPI documents, merge keys."""

from .facts import FieldFacts, TypeFacts, builtin_facts
from .schemas import Decoded, Reader, Schemas, Strictness

__all__ = ["Decoded", "FieldFacts", "Reader", "Schemas", "Strictness", "TypeFacts", "builtin_facts"]
