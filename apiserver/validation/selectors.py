"""Rules for `metav1.LabelSelector`, wherever one stands.

Source: Kubernetes' apimachinery, apis/meta/v1/validation (ValidateLabelSelector).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, required

from . import names

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def label_selector(selector: dict[str, Any] | None, field: str) -> list[Cause]:
    """What is wrong with a label selector."""
    causes: list[Cause] = []
    if selector is None:
        return causes
    for key, value in (selector.get("matchLabels") or {}).items():
        if problem := names.qualified_name(key):
            causes.append(invalid_value(f"{field}.matchLabels", key, problem))
        if problem := names.label_value(value):
            causes.append(invalid_value(f"{field}.matchLabels", value, problem))
    for index, item in enumerate(selector.get("matchExpressions") or ()):
        here, operator = f"{field}.matchExpressions[{index}]", item.get("operator")
        if operator not in _OPERATORS:
            causes.append(invalid_value(f"{here}.operator", operator or "", "not a valid selector operator"))
        elif operator in ("In", "NotIn") and not item.get("values"):
            causes.append(required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist") and item.get("values"):
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(forbidden_field(f"{here}.values", detail))
        if problem := names.qualified_name(item.get("key") or ""):
            causes.append(invalid_value(f"{here}.key", item.get("key") or "", problem))
        for place, value in enumerate(item.get("values") or ()):
            if problem := names.label_value(value):
                causes.append(invalid_value(f"{here}.values[{place}]", value, problem))
    return causes
