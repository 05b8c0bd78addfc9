"""NodeAffinity: selectors, required and preferred terms, and what the scheduler's configuration adds to them."""

from __future__ import annotations

import re
from typing import Any

Document = dict[str, Any]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def chosen(pod: Document, node: Document) -> bool:
    labels = node["metadata"]["labels"]
    selector = pod["spec"].get("nodeSelector") or {}
    if any(key not in labels or labels[key] != value for key, value in selector.items()):
        return False
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    return enforced(affinity, node)


def enforced(affinity: Document, node: Document) -> bool:
    required = affinity.get(REQUIRED)
    return required is None or any(met(term, node) for term in required["nodeSelectorTerms"])


def liked(affinity: Document, node: Document) -> int:
    return sum(wish["weight"] for wish in affinity.get(PREFERRED, []) if met(wish["preference"], node))


def met(term: Document, node: Document) -> bool:
    expressions, fields = term.get("matchExpressions", []), term.get("matchFields", [])
    if not expressions and not fields:
        return False
    return all(holds(rule, node["metadata"]["labels"]) for rule in expressions) and all(
        holds(rule, {"metadata.name": node["metadata"]["name"]}) for rule in fields
    )


def holds(rule: Document, labels: dict[str, str]) -> bool:
    value = labels.get(rule["key"])
    match rule["operator"]:
        case "In":
            return value is not None and value in rule["values"]
        case "NotIn":
            return value is None or value not in rule["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    mine, bound = number(value or ""), number(rule["values"][0])
    if mine is None or bound is None:
        return False
    return mine > bound if rule["operator"] == "Gt" else mine < bound


def number(text: str) -> int | None:
    if not re.fullmatch("[+-]?[0-9]+", text) or not -(2**63) <= int(text) < 2**63:
        return None
    return int(text)
