"""The rules of a schema when they are written: whether they compile, and what they can cost at worst.

A rule costs its own estimate times how often its place can occur in one object; where no bound is declared, as often as
a request can hold it.

Source: Kubernetes' apiextensions-apiserver, validation.go and cel_validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from ..custom import fieldpaths
from ..custom.rule import Compiler, Rule

Schema = Mapping[str, Any]

PER_RULE = 10_000_000
PER_SCHEMA = 100_000_000
_REQUEST = 3 * 1024 * 1024
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_SHOWN = 4
_has_newline = re.compile(r"[\n\r]").search


class Costs:
    """The estimates of all rules of one schema."""

    def __init__(self) -> None:
        self._by_field: list[tuple[int, str]] = []

    def add(self, field: str, cost: int) -> None:
        """Take a rule's estimate."""
        self._by_field.append((cost, field))

    def causes(self, field: str) -> list[Cause]:
        """What is wrong with the sum."""
        total = sum(cost for cost, _ in self._by_field)
        if total <= PER_SCHEMA:
            return []
        dear = sorted((each for each in self._by_field if each[0] >= PER_SCHEMA // 100), key=lambda each: -each[0])
        detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        return [
            *(forbidden_field(where, detail) for _, where in dear[:_SHOWN]),
            forbidden_field(field, _exceeds(name, total, PER_SCHEMA)),
        ]


def _exceeds(name: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return (
        f"{name} exceeds budget by factor of {shown} (try simplifying the rule, or adding maxItems, maxProperties, and "
        "maxLength where arrays, maps, and strings are declared)"
    )


def rule_causes(
    schema: Schema,
    field: str,
    *,
    costs: Costs | None,
    root: bool = False,
    occurrences: int | None = 1,
    uncorrelated: str = "",
) -> list[Cause]:
    """What is wrong with the rules at one place; without `costs` only their form is checked, not their expressions."""
    if costs is None:
        rules = schema.get("x-kubernetes-validations") or ()
        return [
            cause
            for index, rule in enumerate(rules)
            for cause in _form(schema, rule, f"{field}.x-kubernetes-validations[{index}]")
        ]
    compiler = Compiler(schema, root=root)
    kind = compiler.declared()
    if kind is None:
        detail = (
            "internal error: failed to construct type information for x-kubernetes-validations rules: unable to "
            "convert structural schema to CEL declarations"
        )
        return [Cause("InternalError", f"Internal error: {detail}", f"{field}.x-kubernetes-validations")]
    times = _REQUEST // (kind.min_size + 1) if occurrences is None else occurrences
    return [
        cause
        for index, rule in enumerate(compiler.rules())
        for cause in _expressions(
            rule, f"{field}.x-kubernetes-validations[{index}]", costs=costs, times=times, uncorrelated=uncorrelated
        )
    ]


def _form(schema: Schema, rule: Mapping[str, Any], field: str) -> Iterator[Cause]:
    text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
    if not text:
        yield required(f"{field}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid_value(f"{field}.message", message, "must be non-empty if specified")
    elif _has_newline(message.strip()):
        yield invalid_value(f"{field}.message", message, "must not contain line breaks")
    elif _has_newline(text) and not message:
        yield required(f"{field}.message", "message must be specified if rule contains line breaks")
    expression = rule.get("messageExpression") or ""
    if expression and not expression.strip():
        yield required(f"{field}.messageExpression", "messageExpression must be non-empty if specified")
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        yield not_supported(f"{field}.reason", reason, _REASONS)
    if path := rule.get("fieldPath") or "":
        if not path.strip():
            yield invalid_value(f"{field}.fieldPath", path, "must be non-empty if specified")
        if _has_newline(path):
            yield invalid_value(f"{field}.fieldPath", path, "must not contain line breaks")
        try:
            fieldpaths.resolve(path, schema)
        except ValueError:
            yield invalid_value(f"{field}.fieldPath", path, "must be a valid path")


def _expressions(rule: Rule, field: str, *, costs: Costs, times: int, uncorrelated: str) -> Iterator[Cause]:
    if rule.compiled is not None:
        cost = rule.compiled.max_cost * times
        costs.add(f"{field}.rule", cost)
        if cost > PER_RULE:
            yield forbidden_field(f"{field}.rule", _exceeds("estimated rule cost", cost, PER_RULE))
    if rule.error:
        yield invalid_value(f"{field}.rule", dict(rule.source), rule.error)
    if rule.message_error:
        yield invalid_value(f"{field}.messageExpression", dict(rule.source), rule.message_error)
    elif rule.message is not None:
        cost = rule.message.max_cost
        costs.add(f"{field}.messageExpression", cost)
        if cost > PER_RULE:
            detail = _exceeds("estimated messageExpression cost", cost, PER_RULE)
            yield forbidden_field(f"{field}.messageExpression", detail)
    if rule.transition and uncorrelated:
        detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
        yield invalid_value(f"{field}.rule", rule.source.get("rule"), detail)
    elif rule.compiled is not None and not rule.transition and rule.source.get("optionalOldSelf") is not None:
        detail = "may not be set if oldSelf is not used in rule"
        yield invalid_value(f"{field}.optionalOldSelf", rule.source["optionalOldSelf"], detail)
