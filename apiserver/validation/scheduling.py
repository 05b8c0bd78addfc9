"""Rules of `scheduling.k8s.io`: priority classes.

Source: Kubernetes' scheduling validation (ValidatePriorityClass).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field

from .values import optional_choice, unchanged

Document = dict[str, Any]

_PREFIX = "system-"
_SYSTEM = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
_HIGHEST = 1_000_000_000


def priority_class(obj: Document) -> list[Cause]:
    """What is wrong with a PriorityClass."""
    name, value = obj["metadata"].get("name") or "", obj.get("value") or 0
    causes: list[Cause] = []
    if name.startswith(_PREFIX):
        if problem := _system_problem(name, value, is_default=bool(obj.get("globalDefault"))):
            detail = f"priority class names with '{_PREFIX}' prefix are reserved for system use only. error: {problem}"
            causes.append(forbidden_field("metadata.name", detail))
    elif value > _HIGHEST:
        causes.append(forbidden_field("value", f"maximum allowed value of a user defined priority is {_HIGHEST}"))
    return causes + optional_choice(obj.get("preemptionPolicy"), "preemptionPolicy", ("Never", "PreemptLowerPriority"))


def _system_problem(name: str, value: int, *, is_default: bool) -> str | None:
    if name not in _SYSTEM:
        return f"{name} is not a known system priority class"
    if value != _SYSTEM[name]:
        return f"value of {name} PriorityClass must be {_SYSTEM[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else None


def priority_class_update(new: Document, old: Document) -> list[Cause]:
    """A priority is for ever, for pods remember it."""
    causes = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        causes.append(forbidden_field("value", "may not be changed in an update."))
    return causes + unchanged(new, old, "preemptionPolicy")
