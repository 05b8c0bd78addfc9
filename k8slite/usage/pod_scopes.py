"""In which scopes a pod is.

Source: Kubernetes' pkg/quota/v1/evaluator/core/pods.go (podMatchesScopeFunc).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .amounts import amounts
from .scopes import Requirement

Document = Mapping[str, Any]

_COMPUTE = ("cpu", "memory")
_AFFINITIES = ("podAffinity", "podAntiAffinity")


def matches(requirement: Requirement, pod: Document) -> bool:
    """Whether the pod is in the scope."""
    match requirement.scope:
        case "Terminating":
            return is_terminating(pod)
        case "NotTerminating":
            return not is_terminating(pod)
        case "BestEffort":
            return _is_best_effort(pod)
        case "NotBestEffort":
            return not _is_best_effort(pod)
        case "PriorityClass":
            return requirement.accepts((pod.get("spec") or {}).get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _looks_elsewhere(pod)
        case _:
            return False


def is_terminating(pod: Document) -> bool:
    """Whether the pod runs for a limited time."""
    deadline = (pod.get("spec") or {}).get("activeDeadlineSeconds")
    return deadline is not None and deadline >= 0


def _is_best_effort(pod: Document) -> bool:
    if known := (pod.get("status") or {}).get("qosClass"):
        return bool(known == "BestEffort")
    spec = pod.get("spec") or {}
    own = spec.get("resources") or {}
    asked = (
        [own]
        if own
        else [
            container.get("resources") or {}
            for group in ("containers", "initContainers")
            for container in spec.get(group) or ()
        ]
    )
    return not any(
        name in _COMPUTE and value.value > 0
        for resources in asked
        for member in ("requests", "limits")
        for name, value in amounts(resources.get(member)).items()
    )


def _looks_elsewhere(pod: Document) -> bool:
    affinity = (pod.get("spec") or {}).get("affinity") or {}
    for kind in _AFFINITIES:
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [term.get("podAffinityTerm") or {} for term in preferred]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False
