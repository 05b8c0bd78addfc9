"""The CEL rules of a structural schema (`x-kubernetes-validations`), checked against an object.

Rules run only on what the schema admits otherwise: an object that breaks its types is refused before. Transition rules
(those that name `oldSelf`) run where old and new can be told to be the same field: through properties, map keys and the
keys of lists of type map, not through the elements of other lists.

Ratcheting: what a rule without `oldSelf` complains of is let pass where an update left the value as it was; so a rule
that was added later does not block changes elsewhere. Inside other lists the nearest ancestor that can be correlated
decides.

Source: Kubernetes documentation, "Validation rules" and "Validation ratcheting"; schema/cel/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import thread_time
from typing import Any

from k8slite.errors import Cause, invalid_value

from ..cel.schemas import Convert, Schema, converter
from ..cel.values import NONE, CostExceeded, Optional, equal, frozen
from .rule import BUDGET, PER_CALL, SECONDS, Compiler, Rule, worded

Document = dict[str, Any]
_TOO_EXPENSIVE = "no further validation rules will be run due to call cost exceeds limit"
_OUT_OF_BUDGET = "failed due to running out of cost budget, no further validation rules will be run"


class Rules:
    """All rules of one schema; immutable, to be shared by all requests."""

    def __init__(self, root: _Place | None) -> None:
        self._root = root

    @classmethod
    def compile(cls, schema: Mapping[str, Any], *, root: bool = True) -> Rules:
        """Compile every rule of a version's `openAPIV3Schema`. A rule that does not compile fails every object.

        `root` says that the schema is of a whole resource, of which rules see kind, apiVersion and metadata's name.
        """
        return cls(_place(schema, root=root))

    def __bool__(self) -> bool:
        return self._root is not None

    def check(self, document: Any, old: Any = None, *, path: str = "<nil>") -> list[Cause]:
        """Why the rules refuse `document`, which replaces `old` (None on create).

        `path` is where it stands; Kubernetes calls the whole object "<nil>".
        """
        if self._root is None:
            return []
        run = _Run()
        with suppress(_Stopped):
            run.check(self._root, document, _Old(old, lambda: old is not None and equal(document, old)), path)
        return run.causes


@dataclass(slots=True)
class _Place:
    """A schema with rules at it or below it."""

    schema: Schema
    rules: list[Rule]
    convert: Convert | None
    items: _Place | None = None
    values: _Place | None = None
    properties: dict[str, _Place] = field(default_factory=dict)


def _place(schema: object, *, root: bool = False) -> _Place | None:
    if not isinstance(schema, Mapping):
        return None
    root = root or bool(schema.get("x-kubernetes-embedded-resource"))
    properties = {
        name: place for name, part in (schema.get("properties") or {}).items() if (place := _place(part)) is not None
    }
    items, values = _place(schema.get("items")), _place(schema.get("additionalProperties"))
    rules = Compiler(schema, root=root).rules()
    if not (rules or properties or items or values):
        return None
    return _Place(schema, rules, converter(schema, root=root) if rules else None, items, values, properties)


@dataclass(frozen=True, slots=True)
class _Old:
    """What stood at a place before: `value` if it can be correlated, and whether nothing changed here or around."""

    value: Any
    unchanged: Callable[[], bool]

    def child(self, value: Any, old: Any) -> _Old:
        """Of a part that is correlated with `old`; None where there was none."""
        return _Old(old, lambda: old is not None and equal(value, old))

    def uncorrelated(self) -> _Old:
        """Of a part that has no counterpart: the whole decides."""
        return _Old(None, self.unchanged)


class _Stopped(Exception):
    """No further rules are run."""


class _Run:
    """One check of one object."""

    def __init__(self) -> None:
        self.causes: list[Cause] = []
        self._budget = BUDGET
        self._ends = thread_time() + SECONDS

    def check(self, place: _Place, value: Any, old: _Old, path: str) -> None:
        if value is None:
            return
        if place.rules:
            self._apply(place, value, old, path)
        if isinstance(value, list):
            self._items(place, value, old, path)
        elif isinstance(value, dict):
            self._entries(place, value, old, path)

    def _entries(self, place: _Place, value: dict[str, Any], old: _Old, path: str) -> None:
        before = old.value if isinstance(old.value, dict) else {}
        for name, part in value.items():
            inner = place.properties.get(name)
            if inner is not None:
                below = name if path == "<nil>" else f"{path}.{name}"
            elif place.values is not None:
                inner, below = place.values, f"{path}[{name}]"
            else:
                continue
            self.check(inner, part, old.child(part, before.get(name)), below)

    def _items(self, place: _Place, value: list[Any], old: _Old, path: str) -> None:
        if place.items is None:
            return
        by_key = _by_key(place.schema, old.value)
        for index, item in enumerate(value):
            before = old.uncorrelated() if by_key is None else old.child(item, by_key.get(_key(place.schema, item)))
            self.check(place.items, item, before, f"{path}[{index}]")

    def _apply(self, place: _Place, value: Any, old: _Old, path: str) -> None:
        kind = place.schema.get("type", "")
        if self._budget <= 0:
            self._stop(invalid_value(path, kind, f"validation {_OUT_OF_BUDGET}"))
        convert = place.convert or (lambda item: item)
        current = convert(value)
        previous = None if old.value is None else convert(old.value)
        for rule in place.rules:
            if rule.compiled is None:
                if rule.error:
                    self.causes.append(invalid_value(path, kind, f"rule compile error: {rule.error}"))
                continue
            if rule.transition and previous is None and not rule.optional_old:
                continue
            variables = {"self": current}
            if rule.optional_old:
                variables["oldSelf"] = NONE if previous is None else Optional(True, previous)
            elif previous is not None:
                variables["oldSelf"] = previous
            cause = self._evaluate(rule, variables, value, path=path, kind=kind)
            if cause is not None and (rule.transition or not old.unchanged()):
                self.causes.append(cause)

    def _evaluate(self, rule: Rule, variables: dict[str, Any], value: Any, *, path: str, kind: str) -> Cause | None:
        assert rule.compiled is not None
        if thread_time() > self._ends:
            self._stop(invalid_value(path, kind, f"validation {_OUT_OF_BUDGET}"))
        outcome = rule.compiled.program.evaluate(variables, limit=PER_CALL)
        if outcome.cost > self._budget:
            self._stop(invalid_value(path, kind, f"validation {_OUT_OF_BUDGET}"))
        self._budget -= outcome.cost
        if isinstance(outcome.error, CostExceeded):
            self._stop(invalid_value(path, kind, f"'{outcome.error}': {_TOO_EXPENSIVE} for rule: {rule.text}"))
        if outcome.error is not None:
            self.causes.append(invalid_value(path, kind, _failure(str(outcome.error), rule)))
            return None
        return None if outcome.value is True else rule.cause(path, value, self._detail(rule, variables, path, kind))

    def _detail(self, rule: Rule, variables: dict[str, Any], path: str, kind: str) -> str:
        if rule.message is None:
            return rule.detail()
        outcome = rule.message.program.evaluate(variables, limit=PER_CALL)
        if isinstance(outcome.error, CostExceeded):
            source = rule.source.get("messageExpression")
            self._stop(invalid_value(path, kind, f'{_TOO_EXPENSIVE} for messageExpression: "{source}"'))
        if outcome.cost > self._budget:
            self._stop(invalid_value(path, kind, f"messageExpression evaluation {_OUT_OF_BUDGET}"))
        self._budget -= outcome.cost
        return worded(outcome.value) or rule.detail()

    def _stop(self, cause: Cause) -> None:
        self.causes.append(cause)
        raise _Stopped


def _failure(error: str, rule: Rule) -> str:
    if error.startswith("no such overload"):
        words = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'{error}': {words}: {rule.text}"
    return f"{error} evaluating rule: {rule.text}"


def _key(schema: Schema, item: Any) -> Hashable:
    if not isinstance(item, dict):
        return None
    return tuple(frozen(item.get(key)) for key in schema.get("x-kubernetes-list-map-keys") or ())


def _by_key(schema: Schema, old: Any) -> dict[Hashable, Any] | None:
    """The old elements by their keys; None if the list's elements cannot be correlated."""
    if schema.get("x-kubernetes-list-type") != "map":
        return None
    return {_key(schema, item): item for item in reversed(old)} if isinstance(old, list) else {}
