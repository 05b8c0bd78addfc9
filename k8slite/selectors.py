"""Label and field selectors: parsed once, matched often.

Source: Kubernetes documentation, "Labels and Selectors" and "Field Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]


class SelectorError(ValueError):
    """The selector's text cannot be parsed."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels meets this condition."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                return _compares(value, next(iter(self.values)), greater=self.operator == "Gt")


def _compares(value: str | None, bound: str, *, greater: bool) -> bool:
    try:
        return int(value or "") > int(bound) if greater else int(value or "") < int(bound)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; no requirement selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels meets every requirement."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)


EVERYTHING = LabelSelector()

_EQUALITY = re.compile(r"^\s*([^\s=!<>(),]+)\s*(==|=|!=)\s*([^\s=!<>(),]*)\s*$")
_SET = re.compile(r"^\s*([^\s=!<>(),]+)\s+(in|notin)\s*\(([^()]*)\)\s*$")
_COMPARISON = re.compile(r"^\s*([^\s=!<>(),]+)\s*([<>])\s*(-?\d+)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s=!<>(),]+)\s*$")


def parse_label_selector(text: str) -> LabelSelector:
    """Read `app=web,tier in (a, b),!legacy`. Raises SelectorError."""
    if not text.strip():
        return EVERYTHING
    return LabelSelector(tuple(_requirement(part) for part in _split(text)))


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _requirement(text: str) -> Requirement:
    if found := _EQUALITY.match(text):
        key, operator, value = found.groups()
        return Requirement(key, "NotIn" if operator == "!=" else "In", frozenset({value}))
    if found := _SET.match(text):
        key, word, values = found.groups()
        members = frozenset(value.strip() for value in values.split(","))
        return Requirement(key, "In" if word == "in" else "NotIn", members)
    if found := _COMPARISON.match(text):
        key, sign, bound = found.groups()
        return Requirement(key, "Gt" if sign == ">" else "Lt", frozenset({bound}))
    if found := _EXISTS.match(text):
        negated, key = found.groups()
        return Requirement(key, "DoesNotExist" if negated else "Exists")
    raise SelectorError(f"unable to parse requirement: found {text.strip()!r}")


def from_object(selector: Mapping[str, Any] | None) -> LabelSelector | None:
    """A `metav1.LabelSelector` object; None selects nothing, `{}` everything."""
    if selector is None:
        return None
    requirements = [
        Requirement(key, "In", frozenset({value})) for key, value in sorted((selector.get("matchLabels") or {}).items())
    ]
    requirements += [
        Requirement(item["key"], item["operator"], frozenset(item.get("values") or ()))
        for item in selector.get("matchExpressions") or ()
    ]
    return LabelSelector(tuple(requirements))


def from_labels(labels: Mapping[str, str]) -> LabelSelector:
    """A selector for exactly these labels, as a Service's `spec.selector`."""
    return from_object({"matchLabels": dict(labels)}) or EVERYTHING


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One field compared with one value."""

    field: str
    value: str
    equal: bool

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether the field, empty if unset, has (or has not) the value."""
        return (fields.get(self.field, "") == self.value) == self.equal


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All requirements must hold."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether a mapping of dotted field paths to strings meets every requirement."""
        return all(requirement.matches(fields) for requirement in self.requirements)

    def value_of(self, field: str) -> str | None:
        """The one value that `field` must have, if the selector says so."""
        return next((r.value for r in self.requirements if r.field == field and r.equal), None)

    def __bool__(self) -> bool:
        return bool(self.requirements)


def parse_field_selector(text: str) -> FieldSelector:
    """Read `spec.nodeName=a,status.phase!=Failed`. Raises SelectorError."""
    requirements = []
    for part in filter(str.strip, text.split(",")):
        for sign in ("!=", "==", "="):
            field, found, value = part.partition(sign)
            if found:
                requirements.append(FieldRequirement(field.strip(), value.strip(), sign != "!="))
                break
        else:
            raise SelectorError(f"invalid selector: '{part}'; can't understand '{part}'")
    return FieldSelector(tuple(requirements))
