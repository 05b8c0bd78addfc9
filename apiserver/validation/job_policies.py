"""Rules for what a Job makes of its pods' ends: pod failure policies and success policies.

Source: Kubernetes' batch validation (validatePodFailurePolicy, validateSuccessPolicy).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, duplicate, invalid_field, invalid_value, not_supported, required, too_long, too_many

from . import names
from .indexes import parse_indexes
from .values import each, non_negative, spelled

Document = dict[str, Any]

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_MOST_RULES = 20
_MOST_PATTERNS = 20
_MOST_CODES = 255
_LONGEST_INDEXES = 64 * 1024


def pod_failure_policy(policy: Document, spec: Document, field: str) -> list[Cause]:
    """What is wrong with a pod failure policy of a Job's spec."""
    rules = policy.get("rules") or []
    causes = [too_many(f"{field}.rules", len(rules), _MOST_RULES)] if len(rules) > _MOST_RULES else []
    pod = (spec.get("template") or {}).get("spec") or {}
    containers = {one.get("name") for group in ("containers", "initContainers") for one in pod.get(group) or ()}

    def check(rule: Document, here: str) -> list[Cause]:
        action, codes, conditions = rule.get("action"), rule.get("onExitCodes"), rule.get("onPodConditions")
        found = _word(action, f"{here}.action", _ACTIONS)
        if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            found.append(invalid_value(f"{here}.action", action, "requires the backoffLimitPerIndex to be set"))
        if codes is not None:
            found += _exit_codes(codes, containers, f"{here}.onExitCodes")
        if conditions:
            found += _conditions(conditions, f"{here}.onPodConditions")
        if (codes is not None) == bool(conditions):
            how = "both OnExitCodes and OnPodConditions is not supported"
            if codes is None:
                how = "one of OnExitCodes and OnPodConditions is required"
            found.append(invalid_field(here, f"specifying {how}"))
        return found

    return causes + each(rules, f"{field}.rules", check)


def _word(value: str | None, field: str, allowed: tuple[str, ...]) -> list[Cause]:
    if not value:
        listed = " ".join(f'"{word}"' for word in allowed)
        return [required(field, f"valid values: [{listed}]")]
    return [] if value in allowed else [not_supported(field, value, allowed)]


def _conditions(patterns: list[Document], field: str) -> list[Cause]:
    causes = [too_many(field, len(patterns), _MOST_PATTERNS)] if len(patterns) > _MOST_PATTERNS else []

    def check(pattern: Document, here: str) -> list[Cause]:
        found = spelled(pattern.get("type") or "", f"{here}.type", names.qualified_name)
        return found + _word(pattern.get("status"), f"{here}.status", _STATUSES)

    return causes + each(patterns, field, check)


def _exit_codes(codes: Document, containers: set[Any], field: str) -> list[Cause]:
    operator, values = codes.get("operator"), codes.get("values") or []
    causes = _word(operator, f"{field}.operator", _OPERATORS)
    name = codes.get("containerName")
    if name is not None and name not in containers:
        detail = "must be one of the container or initContainer names in the pod template"
        causes.append(invalid_value(f"{field}.containerName", name, detail))
    if not values:
        causes.append(invalid_value(f"{field}.values", values, "at least one value is required"))
    elif len(values) > _MOST_CODES:
        causes.append(too_many(f"{field}.values", len(values), _MOST_CODES))
    seen: set[int] = set()
    for index, value in enumerate(values):
        here = f"{field}.values[{index}]"
        if operator == "In" and value == 0:
            causes.append(invalid_value(here, value, "must not be 0 for the In operator"))
        if value in seen:
            causes.append(duplicate(here, value))
        seen.add(value)
    if values != sorted(values):
        causes.append(invalid_value(f"{field}.values", values, "must be ordered"))
    return causes


def success_policy(policy: Document, completions: int, field: str) -> list[Cause]:
    """What is wrong with a success policy of an indexed Job."""
    rules = policy.get("rules") or []
    causes = []
    if not rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        causes.append(required(f"{field}.rules", detail))
    if len(rules) > _MOST_RULES:
        causes.append(too_many(f"{field}.rules", len(rules), _MOST_RULES))
    return causes + each(rules, f"{field}.rules", lambda rule, here: _success_rule(rule, completions, here))


def _success_rule(rule: Document, completions: int, field: str) -> list[Cause]:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        return [required(field, "at least one of succeededCount or succeededIndexes must be specified")]
    causes, total = [], 0
    if indexes is not None:
        here = f"{field}.succeededIndexes"
        if len(indexes) > _LONGEST_INDEXES:
            causes.append(too_long(here, _LONGEST_INDEXES))
        intervals, problem = parse_indexes(indexes, completions)
        if problem:
            causes.append(invalid_value(here, indexes, f"error parsing succeededIndexes: {problem}"))
        else:
            total = sum(last - first + 1 for first, last in intervals)
    if count is not None:
        here = f"{field}.succeededCount"
        causes += non_negative(count, here)
        limits = [(completions, "the number of specified completions")]
        if indexes is not None:
            limits.append((total, "the number of indexes in the specified succeededIndexes field"))
        for limit, what in limits:
            if count > limit:
                causes.append(invalid_value(here, count, f"must be less than or equal to {limit} ({what})"))
    return causes
