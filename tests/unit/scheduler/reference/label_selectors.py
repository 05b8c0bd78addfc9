"""What a label selector selects: nothing if there is none, everything if it asks for nothing."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def selects(selector: Document | None, labels: dict[str, str]) -> bool:
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(holds(rule, labels) for rule in selector.get("matchExpressions", []))


def holds(rule: Document, labels: dict[str, str]) -> bool:
    key, values = rule["key"], rule.get("values", [])
    match rule["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
