"""What a pod is charged, and what it must say of itself where a quota counts CPU or memory.

Source: Kubernetes' pkg/quota/v1/evaluator/core/pods.go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .amounts import ONE, Amounts, amounts
from .pods import of_pod

Document = Mapping[str, Any]

_REQUESTED = ("cpu", "memory", "ephemeral-storage")
_NAMES = frozenset({"pods", *_REQUESTED, *(f"{kind}.{name}" for kind in ("requests", "limits") for name in _REQUESTED)})
_HUGE = ("hugepages-", "requests.hugepages-")
_DEMANDED = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
"""Whoever counts these wants every container to say them. Nothing is ever added here."""
_FINISHED = ("Succeeded", "Failed")


def is_pod_resource(name: str) -> bool:
    """Whether a quota's resource name means something that pods ask for."""
    if name in _NAMES or name.startswith(_HUGE):
        return True
    return name.startswith("requests.") and "/" in name and "kubernetes.io/" not in name


def pod_usage(pod: Document, now: datetime) -> Amounts:
    """What a pod is charged; one that has ended, or should have by now, is only counted as an object."""
    usage: Amounts = {"count/pods": ONE}
    if _lives(pod, now):
        requests = of_pod(pod, "requests", actual=True, overhead=True)
        limits = of_pod(pod, "limits", actual=True, overhead=True)
        usage |= _charged(requests, limits)
    return usage


def _charged(requests: Amounts, limits: Amounts) -> Amounts:
    usage: Amounts = {"pods": ONE}
    for name, value in requests.items():
        if name in _REQUESTED or name.startswith("hugepages-"):
            usage[name] = usage[f"requests.{name}"] = value
        elif "/" in name and "kubernetes.io/" not in name:
            usage[f"requests.{name}"] = value
    usage |= {f"limits.{name}": value for name, value in limits.items() if name in _REQUESTED}
    return usage


def constraint(names: Collection[str], pod: Document) -> str:
    """What the pod must specify and does not, empty if nothing."""
    demanded = _DEMANDED.intersection(names)
    spec = pod.get("spec") or {}
    own = spec.get("resources") or {}
    if not demanded or own.get("requests") or own.get("limits"):
        return ""
    missing: dict[str, set[str]] = {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        said = _charged(amounts(resources.get("requests")), amounts(resources.get("limits")))
        for name in demanded - said.keys():
            missing.setdefault(name, set()).add(container.get("name") or "")
    if not missing:
        return ""
    parts = (f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))
    return f"must specify {'; '.join(parts)}"


def _lives(pod: Document, now: datetime) -> bool:
    if (pod.get("status") or {}).get("phase") in _FINISHED:
        return False
    metadata = pod.get("metadata") or {}
    ending, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    if ending is None or grace is None:
        return True
    # Twice the grace: the time of the deletion already includes it. A pod on a lost node is not charged for ever.
    due = datetime.strptime(ending, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return now <= due + timedelta(seconds=grace)
