"""Rules for a pod's topology spread constraints.

Source: Kubernetes' core validation (validateTopologySpreadConstraints).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required

from . import names
from .selectors import label_selector

_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
_POLICIES = ("Honor", "Ignore")


def spread_constraints(constraints: Sequence[dict[str, Any]], field: str) -> list[Cause]:
    """What is wrong with a list of constraints."""
    causes: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for index, constraint in enumerate(constraints):
        here = f"{field}[{index}]"
        causes += _constraint(constraint, here)
        pair = (constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or "")
        if pair in seen:
            causes.append(duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", "{{{}, {}}}".format(*pair)))
        seen.add(pair)
    return causes


def _constraint(constraint: dict[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    skew, least = constraint.get("maxSkew") or 0, constraint.get("minDomains")
    if skew <= 0:
        causes.append(invalid_value(f"{field}.maxSkew", skew, "must be greater than zero"))
    key, action = constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or ""
    if not key:
        causes.append(required(f"{field}.topologyKey", "can not be empty"))
    elif problem := names.qualified_name(key):
        causes.append(invalid_value(f"{field}.topologyKey", key, problem))
    if action not in _ACTIONS:
        causes.append(not_supported(f"{field}.whenUnsatisfiable", action, _ACTIONS))
    if least is not None and least <= 0:
        causes.append(invalid_value(f"{field}.minDomains", least, "must be greater than zero"))
    if least is not None and action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        causes.append(invalid_value(f"{field}.minDomains", least, detail))
    for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        if (value := constraint.get(policy)) is not None and value not in _POLICIES:
            causes.append(not_supported(f"{field}.{policy}", value, _POLICIES))
    selector = constraint.get("labelSelector")
    if keys := constraint.get("matchLabelKeys"):
        causes += _label_keys(keys, selector, f"{field}.matchLabelKeys")
    return causes + label_selector(selector, f"{field}.labelSelector")


def _label_keys(keys: Sequence[str], selector: dict[str, Any] | None, field: str) -> list[Cause]:
    causes: list[Cause] = []
    if selector is None:
        causes.append(forbidden_field(field, "must not be specified when labelSelector is not set"))
    taken = set((selector or {}).get("matchLabels") or ())
    # The server adds one expression a key to a pod's own selector: one more is the user's.
    seen: set[str] = set()
    for item in (selector or {}).get("matchExpressions") or ():
        added = item.get("operator") == "In" and len(item.get("values") or ()) == 1 and item.get("key") not in seen
        if not added:
            taken.add(item.get("key") or "")
        seen.add(item.get("key") or "")
    for index, label in enumerate(keys):
        if problem := names.qualified_name(label):
            causes.append(invalid_value(f"{field}[{index}]", label, problem))
        if label in taken:
            detail = "exists in both matchLabelKeys and labelSelector"
            causes.append(invalid_value(f"{field}[{index}]", label, detail))
    return causes
