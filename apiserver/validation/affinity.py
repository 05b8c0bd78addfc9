"""Rules for where a pod may run: node selectors, affinity to nodes and to pods, tolerations of taints.

Source: Kubernetes' core validation (validateAffinity, ValidateNodeSelector, ValidateTolerations).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from . import names
from .selectors import label_selector
from .sequences import natural

Document = dict[str, Any]

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
"""What a taint may do."""
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_TOLERATIONS = ("Equal", "Exists", "Gt", "Lt")
_RANGE = "must be in the range 1-100"


def affinity(wanted: Document, field: str) -> list[Cause]:
    """What is wrong with a pod's affinity."""
    causes: list[Cause] = []
    if (nodes := wanted.get("nodeAffinity")) is not None:
        here = f"{field}.nodeAffinity"
        if (selector := nodes.get(_REQUIRED)) is not None:
            causes += node_selector(selector, f"{here}.{_REQUIRED}")
        for index, term in enumerate(nodes.get(_PREFERRED) or ()):
            place = f"{here}.{_PREFERRED}[{index}]"
            causes += _weight(term, place)
            causes += _node_term(term.get("preference") or {}, f"{place}.preference", values=False)
    for kind in ("podAffinity", "podAntiAffinity"):
        if (pods := wanted.get(kind)) is None:
            continue
        for index, term in enumerate(pods.get(_REQUIRED) or ()):
            causes += _pod_term(term, f"{field}.{kind}.{_REQUIRED}[{index}]")
        for index, term in enumerate(pods.get(_PREFERRED) or ()):
            place = f"{field}.{kind}.{_PREFERRED}[{index}]"
            causes += _weight(term, place)
            causes += _pod_term(term.get("podAffinityTerm") or {}, f"{place}.podAffinityTerm")
    return causes


def node_selector(selector: Document, field: str) -> list[Cause]:
    """What is wrong with a selector of nodes."""
    here = f"{field}.nodeSelectorTerms"
    if not selector.get("nodeSelectorTerms"):
        return [required(here, "must have at least one node selector term")]
    return [
        cause
        for index, term in enumerate(selector["nodeSelectorTerms"])
        for cause in _node_term(term, f"{here}[{index}]", values=True)
    ]


def _weight(term: Document, field: str) -> list[Cause]:
    weight = term.get("weight") or 0
    return [] if 1 <= weight <= 100 else [invalid_value(f"{field}.weight", weight, _RANGE)]


def _node_term(term: Document, field: str, *, values: bool) -> list[Cause]:
    causes: list[Cause] = []
    for index, item in enumerate(term.get("matchExpressions") or ()):
        causes += _node_expression(item, f"{field}.matchExpressions[{index}]", values=values)
    for index, item in enumerate(term.get("matchFields") or ()):
        causes += _node_field(item, f"{field}.matchFields[{index}]")
    return causes


def _node_expression(item: Document, field: str, *, values: bool) -> list[Cause]:
    causes: list[Cause] = []
    operator, listed = item.get("operator") or "", item.get("values") or ()
    match operator:
        case "In" | "NotIn":
            if not listed:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                causes.append(required(f"{field}.values", detail))
        case "Exists" | "DoesNotExist":
            if listed:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                causes.append(forbidden_field(f"{field}.values", detail))
        case "Gt" | "Lt":
            if len(listed) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                causes.append(required(f"{field}.values", detail))
        case _:
            causes.append(invalid_value(f"{field}.operator", operator, "not a valid selector operator"))
    if problem := names.qualified_name(item.get("key") or ""):
        causes.append(invalid_value(f"{field}.key", item.get("key") or "", problem))
    for index, value in enumerate(listed if values else ()):
        if problem := names.label_value(value):
            causes.append(invalid_value(f"{field}.values[{index}]", value, problem))
    return causes


def _node_field(item: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    operator, listed, key = item.get("operator") or "", item.get("values") or (), item.get("key") or ""
    if operator not in ("In", "NotIn"):
        causes.append(invalid_value(f"{field}.operator", operator, "not a valid selector operator"))
    elif len(listed) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        causes.append(required(f"{field}.values", detail))
    if key != "metadata.name":
        causes.append(invalid_value(f"{field}.key", key, "not a valid field selector key"))
        return causes
    for index, value in enumerate(listed):
        if problem := names.dns_subdomain(value):
            causes.append(invalid_value(f"{field}.values[{index}]", value, problem))
    return causes


def _pod_term(term: Document, field: str) -> list[Cause]:
    selector = term.get("labelSelector")
    causes = label_selector(selector, f"{field}.labelSelector")
    causes += label_selector(term.get("namespaceSelector"), f"{field}.namespaceSelector")
    for name in term.get("namespaces") or ():
        if problem := names.dns_label(name):
            causes.append(invalid_value(f"{field}.namespace", name, problem))
    causes += _label_keys(term, selector, field)
    key = term.get("topologyKey") or ""
    if not key:
        causes.append(required(f"{field}.topologyKey", "can not be empty"))
    if problem := names.qualified_name(key):
        causes.append(invalid_value(f"{field}.topologyKey", key, problem))
    return causes


def _label_keys(term: Document, selector: Document | None, field: str) -> list[Cause]:
    causes: list[Cause] = []
    matching, other = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    for name, keys in (("matchLabelKeys", matching), ("mismatchLabelKeys", other)):
        if keys and selector is None:
            detail = "must not be specified when labelSelector is not set"
            causes.append(forbidden_field(f"{field}.{name}", detail))
            continue
        for index, key in enumerate(keys):
            if problem := names.qualified_name(key):
                causes.append(invalid_value(f"{field}.{name}[{index}]", key, problem))
    if matching and selector is not None:
        # The server has added an expression for each key already: one more with that key is the user's.
        seen = set(selector.get("matchLabels") or ())
        for item in selector.get("matchExpressions") or ():
            key = item.get("key")
            if key in matching and key in seen:
                detail = "exists in both matchLabelKeys and labelSelector"
                causes.append(invalid_value(f"{field}[{matching.index(key)}]", key, detail))
            seen.add(key)
    for index, key in enumerate(matching):
        if key in other:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            causes.append(invalid_value(f"{field}.matchLabelKeys[{index}]", key, detail))
    return causes


def tolerations(listed: Sequence[Document], field: str) -> list[Cause]:
    """What is wrong with a pod's tolerations."""
    causes: list[Cause] = []
    for index, toleration in enumerate(listed):
        causes += _toleration(toleration, f"{field}[{index}]")
    return causes


def _toleration(toleration: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    key, operator = toleration.get("key") or "", toleration.get("operator") or ""
    value, effect = toleration.get("value") or "", toleration.get("effect") or ""
    if key and (problem := names.qualified_name(key)):
        causes.append(invalid_value(f"{field}.key", key, problem))
    if not key and operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        causes.append(invalid_value(f"{field}.operator", operator, detail))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        causes.append(invalid_value(f"{field}.effect", effect, detail))
    match operator:
        case "Equal" | "":
            if problem := names.label_value(value):
                causes.append(invalid_value(f"{field}.operator", value, problem))
        case "Exists":
            if value:
                detail = "value must be empty when `operator` is 'Exists'"
                causes.append(invalid_value(f"{field}.operator", value, detail))
        case "Lt" | "Gt":
            if problem := _number(value):
                causes.append(invalid_value(f"{field}.value", value, problem))
        case _:
            causes.append(not_supported(f"{field}.operator", operator, _TOLERATIONS))
    if effect:
        causes += taint_effect(effect, f"{field}.effect")
    return causes


def _number(value: str) -> str | None:
    digits = value.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or (digits[0] == "0" and value != "0"):
        return "must be a valid integer"
    return None if natural(digits) < (1 << 63) + (digits != value) else "must be a valid integer"


def taint_effect(effect: str, field: str) -> list[Cause]:
    """An effect is one of three."""
    if not effect:
        return [required(field)]
    return [] if effect in EFFECTS else [not_supported(field, effect, EFFECTS, in_order=True)]
