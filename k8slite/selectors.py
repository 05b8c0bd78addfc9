"""Label and field selectors: parsed once, matched often.

Source: Kubernetes documentation, "Labels and Selectors" and "Field Selectors"; apimachinery, labels and fields, for
what is refused and in which words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from . import labels as rules
from .remembering import remembered

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
    mine, limit = _number(value or ""), _number(bound)
    if mine is None or limit is None:
        return False
    return mine > limit if greater else mine < limit


def _number(text: str) -> int | None:
    """A number as Go reads one of 64 bits: `1_000`, which may be a label's value, is none."""
    found = int(text) if len(text) <= _DIGITS and _INTEGER.fullmatch(text) else None
    return found if found is not None and -(1 << 63) <= found < 1 << 63 else None


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

_TOKEN = re.compile(r"[ \t\r\n]*(?:(?P<sign>==|!=|[=!(),<>])|(?P<word>[^ \t\r\n=!(),<>]+)|$)")
_INTEGER = re.compile(r"[-+]?[0-9]+")
#: The most that a label's value may be long, and so a number in it.
_DIGITS = 63
_OPERATORS: dict[str, Operator] = {
    "in": "In",
    "notin": "NotIn",
    "=": "In",
    "==": "In",
    "!=": "NotIn",
    ">": "Gt",
    "<": "Lt",
}
_BINARY = "in, notin, =, ==, !=, gt, lt"
_SIGNS = frozenset(["=", "==", "!", "!=", "(", ")", ",", "<", ">"])


@remembered(1024)
def parse_label_selector(text: str) -> LabelSelector:
    """Read `app=web,tier in (a, b),!legacy`. Raises SelectorError, worded as Kubernetes words it."""
    return LabelSelector(tuple(_Parser(text).requirements())) if text.strip() else EVERYTHING


class _Parser:
    """Reads a label selector from left to right, one token ahead. The end is an empty token."""

    def __init__(self, text: str) -> None:
        self._tokens = [found["sign"] or found["word"] for found in _TOKEN.finditer(text) if found.lastgroup]
        self._position = 0

    def requirements(self) -> Iterator[Requirement]:
        """Every requirement. Raises SelectorError."""
        while True:
            token = self._peek()
            if not token:
                return
            if token in _SIGNS and token != "!":
                raise SelectorError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                yield self._requirement()
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            token = self._next()
            if not token:
                return
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
            after = self._peek()
            if not after or (after in _SIGNS and after != "!"):
                raise SelectorError(f"found '{after}', expected: identifier after ','")

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._position += 1
        return token

    def _requirement(self) -> Requirement:
        key = self._next()
        absent = key == "!"
        if absent:
            key = self._next()
        if not key or key in _SIGNS:
            raise SelectorError(f"found '{key}', expected: identifier")
        if problems := rules.key_problems(key):
            raise SelectorError(f"<nil>: {_invalid(key, problems)}")
        if absent:
            return Requirement(key, "DoesNotExist")
        if self._peek() in ("", ","):
            return Requirement(key, "Exists")
        word = self._next()
        operator = _OPERATORS.get(word)
        if operator is None:
            raise SelectorError(f"found '{word}', expected: {_BINARY}")
        values = self._set() if word in ("in", "notin") else [self._value()]
        _check_values(key, operator, values)
        return Requirement(key, operator, frozenset(values))

    def _value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        token = self._next()
        if token in _SIGNS:
            raise SelectorError(f"found '{token}', expected: identifier")
        return token

    def _set(self) -> list[str]:
        token = self._next()
        if token != "(":
            raise SelectorError(f"found '{token}' expected: '('")
        token = self._peek()
        if not token or (token in _SIGNS and token not in ",)"):
            raise SelectorError(f"found '{token}', expected: ',', ')' or identifier")
        values, wanted = [], True  # whether a comma or the end would leave a value empty
        while True:
            token = self._next()
            if token == ")" or token == ",":
                if wanted:
                    values.append("")
                if token == ")":
                    return sorted(set(values))
                wanted = True
            elif not token or token in _SIGNS:
                expected = "',', or identifier" if wanted else "',' or ')'"
                raise SelectorError(f"found '{token}', expected: {expected}")
            elif not wanted:
                raise SelectorError(f"found '{token}', expected: ',' or ')'")
            else:
                values.append(token)
                wanted = False


def _check_values(key: str, operator: Operator, values: list[str]) -> None:
    problems = []
    for index, value in enumerate(values):
        if operator in ("Gt", "Lt") and not _INTEGER.fullmatch(value):
            problem = "for 'Gt', 'Lt' operators, the value must be an integer"
            problems.append(f"values[{index}]: {_invalid(value, (problem,))}")
    for index, value in enumerate(values):
        if found := rules.value_problems(value):
            problems.append(f"values[{index}][{key}]: {_invalid(value, found)}")
    if problems:
        raise SelectorError(problems[0] if len(problems) == 1 else "[" + ", ".join(problems) + "]")


def _invalid(value: str, problems: Sequence[str]) -> str:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'Invalid value: "{quoted}": ' + "; ".join(problems)


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


_TERM = re.compile(r"(?:[^\\,]|\\.?)*", re.DOTALL)
"""What stands between two commas that are not escaped."""
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


@remembered(1024)
def parse_field_selector(text: str) -> FieldSelector:
    r"""Read `spec.nodeName=a,status.phase!=Failed`; in values `\`, `\,` and `\=` stand for themselves.

    Raises SelectorError, worded as Kubernetes words it.
    """
    requirements = []
    for part in filter(None, _TERM.findall(text)):
        found = re.match("(.*?)(!=|==|=)(.*)", part, re.DOTALL)
        if found is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        field, sign, value = found.groups()
        requirements.append(FieldRequirement(field.strip(), _unescaped(value).strip(), sign != "!="))
    return FieldSelector(tuple(requirements))


def _unescaped(value: str) -> str:
    if "\\" not in value and "=" not in value:
        return value
    plain = _ESCAPED.sub("", value)
    if "=" in plain:
        raise SelectorError(f"invalid field selector: unescaped character in value: {ord('=')}")
    for character in _ESCAPED.findall(value):
        if character not in ("\\", ",", "="):
            raise SelectorError(f"invalid field selector: invalid escape sequence: \\{character}")
    return _ESCAPED.sub(r"\1", value)
