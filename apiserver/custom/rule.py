"""One rule of `x-kubernetes-validations`: compiled, and worded when it fails.

Source: Kubernetes documentation, "Validation rules"; apiextensions-apiserver, schema/cel/compilation.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

from k8slite.errors import Cause, duplicate, invalid_value, required

from ..cel.environment import Compiled, CompileError, Environment
from ..cel.schemas import Schema, declared
from ..cel.types import DeclType, optional_of
from . import fieldpaths

#: Units that one expression may cost, and all of an object's together, as in Kubernetes.
PER_CALL = 1_000_000
BUDGET = 10_000_000
#: Seconds of processor time that all of an object's expressions may take together, because nothing else is served
#: meanwhile. What is common in rules spends its ten million units in less.
SECONDS = 1.2
_LONGEST_MESSAGE = 5 * 1024


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule ready to run, or the reason why it cannot."""

    source: Mapping[str, Any]
    compiled: Compiled | None
    error: str
    message: Compiled | None = None
    message_error: str = ""
    field_path: str = ""

    @property
    def transition(self) -> bool:
        """Whether it compares with the old value."""
        return self.compiled is not None and "oldSelf" in self.compiled.names

    @property
    def optional_old(self) -> bool:
        """Whether `oldSelf` is optional, so that it also runs where there is no old value."""
        return bool(self.source.get("optionalOldSelf"))

    @property
    def text(self) -> str:
        """What errors call it: its message, or the rule itself."""
        return str(self.source.get("message") or self.source.get("rule") or "").strip()

    def detail(self) -> str:
        """What is said when it fails and has no messageExpression."""
        message = self.source.get("message")
        return str(message).strip() if message else f"failed rule: {self.text}"

    def cause(self, path: str, value: object, detail: str) -> Cause:
        """The cause of a failure at `path`; containers are not shown."""
        if self.field_path:
            path = self.field_path if path == "<nil>" else f"{path}.{self.field_path}"
        hidden = isinstance(value, (dict, list))
        match self.source.get("reason"):
            case "FieldValueForbidden":
                return Cause("FieldValueForbidden", f"Forbidden: {detail}", path)
            case "FieldValueRequired":
                return required(path, detail)
            case "FieldValueDuplicate":
                return Cause("FieldValueDuplicate", "Duplicate value", path) if hidden else duplicate(path, value)
            case _ if hidden:
                return Cause("FieldValueInvalid", f"Invalid value: {detail}", path)
            case _:
                return invalid_value(path, value, detail)


@dataclass(slots=True)
class Compiler:
    """Compiles the rules of one schema; the environments are made once for all of them."""

    schema: Schema
    root: bool = False
    _environments: dict[bool, Environment] = field(default_factory=dict)

    def declared(self) -> DeclType | None:
        """The type of `self`; None if expressions cannot see the schema's values."""
        return declared(self.schema, root=self.root)

    def rules(self) -> list[Rule]:
        """All rules at the schema itself, compiled; each takes milliseconds, so those of late are kept."""
        if not self.schema.get("x-kubernetes-validations"):
            return []
        written = json.dumps(self.schema, sort_keys=True).encode()
        return list(_compiled(_Written(sha256(written).digest(), self.root, self)))

    def compile(self) -> tuple[Rule, ...]:
        """The same, compiled anew."""
        rules = tuple(self._rule(source) for source in self.schema.get("x-kubernetes-validations") or ())
        self._environments.clear()  # each takes a quarter of a megabyte, and rules need them no more
        return rules

    def _rule(self, source: Mapping[str, Any]) -> Rule:
        text = source.get("rule") or ""
        if not text.strip():
            return Rule(source, None, "")
        environment = self._environment(bool(source.get("optionalOldSelf")))
        if environment is None:
            return Rule(source, None, "failed to convert to declType for CEL validation rules")
        try:
            compiled = environment.compile(text)
        except CompileError as error:
            return Rule(source, None, f"compilation failed: {error}")
        if compiled.result != "bool":
            return Rule(source, None, "cel expression must evaluate to a bool")
        message, message_error = self._message(environment, source.get("messageExpression") or "")
        return Rule(source, compiled, "", message, message_error, self._field_path(source.get("fieldPath") or ""))

    @staticmethod
    def _message(environment: Environment, text: str) -> tuple[Compiled | None, str]:
        if not text:
            return None, ""
        try:
            message = environment.compile(text)
        except CompileError as error:
            return None, f"messageExpression compilation failed: {error}"
        if message.result != "string":
            return None, "messageExpression must evaluate to a string"
        return message, ""

    def _field_path(self, text: str) -> str:
        if not text:
            return ""
        try:
            return fieldpaths.resolve(text, self.schema)[0]
        except ValueError:
            return ""

    def _environment(self, optional: bool) -> Environment | None:
        if optional not in self._environments:
            kind = self.declared()
            if kind is None:
                return None
            old = optional_of(kind) if optional else kind
            self._environments[optional] = Environment({"self": kind, "oldSelf": old})
        return self._environments[optional]


@dataclass(frozen=True, slots=True)
class _Written:
    """What a schema's rules depend on; `compiler` is of the first such schema."""

    digest: bytes
    root: bool
    compiler: Compiler = field(compare=False)


@lru_cache(maxsize=512)
def _compiled(written: _Written) -> tuple[Rule, ...]:
    """A definition is checked when it is written, and served a moment later: with the same rules."""
    return written.compiler.compile()


def worded(value: object) -> str | None:
    """What a messageExpression gave, as the message; None if it cannot be used."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text and "\n" not in text and len(text.encode()) <= _LONGEST_MESSAGE else None
