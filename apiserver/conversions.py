"""Kinds that are served in more than one version but stored in one: how a document moves between the two.

A built-in kind has two pure functions that change a document in place: from the served version to the stored one, and
back. A kind whose versions differ in nothing but their name needs no function. A custom resource brings a `Converter`,
because a webhook may have to be asked.

Source: Kubernetes API reference (autoscaling/v1 and v2, events.k8s.io/v1 and core/v1 Event).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from k8slite.catalogue import Resource
from k8slite.errors import ApiError

Document = dict[str, Any]


class ConversionFailed(ApiError):
    """500: what had to be asked for a conversion gave none that can be used."""

    def __init__(self, message: str) -> None:
        super().__init__(500, "InternalError", f"Internal error occurred: {message}")


Change = Callable[[Document], None]


@dataclass(frozen=True, slots=True)
class Conversion:
    """Both directions between a served version and the stored one."""

    to_stored: Change
    to_served: Change


def _keep(document: Document) -> None:
    """Nothing differs but the version."""


_SAME = Conversion(_keep, _keep)


class Converter(Protocol):
    """Brings documents of a custom resource from one of its versions to another."""

    @property
    def instant(self) -> bool:
        """Whether `convert_now` may be used: no webhook has to be asked."""
        ...

    def is_current(self, revision: int) -> bool:
        """Whether what was stored at that revision already is as today's schema of the stored version would have it.

        If not, it may lack defaults or hold fields that are pruned now.
        """
        ...

    def convert_now(self, document: Document, to: Resource) -> Document:
        """The document in another version (or renewed in its own); it may be changed. Raises ApiError."""
        ...

    async def convert(self, documents: list[Document], to: Resource) -> list[Document]:
        """The same for many, by whatever way there is. Raises ConversionFailed."""
        ...


def of(resource: Resource) -> Conversion:
    """The conversion of a resource that is stored in another version."""
    return _CONVERSIONS.get(resource.key, _SAME)


def _rename(document: Document, names: dict[str, str]) -> None:
    for old, new in names.items():
        if old in document:
            document[new] = document.pop(old)


_EVENT_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "reportingController": "reportingComponent",
}


def _event_to_core(document: Document) -> None:
    _rename(document, _EVENT_NAMES)
    document.setdefault("involvedObject", {})


def _event_from_core(document: Document) -> None:
    _rename(document, {new: old for old, new in _EVENT_NAMES.items()})


_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"


def _is_cpu_utilization(metric: Document) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or resource.get("current") or {}
    return metric.get("type") == "Resource" and resource.get("name") == "cpu" and "averageUtilization" in target


def _hpa_to_v2(document: Document) -> None:
    spec = document.get("spec") or {}
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    metrics = orjson.loads(annotations.pop(_METRICS, "[]"))
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        target = {"type": "Utilization", "averageUtilization": percentage}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        spec["metrics"] = metrics
    if _BEHAVIOR in annotations:
        spec["behavior"] = orjson.loads(annotations.pop(_BEHAVIOR))
    status = document.get("status")
    if status is not None:
        current = orjson.loads(annotations.pop(_CURRENT, "[]"))
        percentage = status.pop("currentCPUUtilizationPercentage", None)
        if percentage is not None:
            value = {"averageUtilization": percentage}
            current.append({"type": "Resource", "resource": {"name": "cpu", "current": value}})
        if current:
            status["currentMetrics"] = current
        if _CONDITIONS in annotations:
            status["conditions"] = orjson.loads(annotations.pop(_CONDITIONS))


def _hpa_to_v1(document: Document) -> None:
    spec = document.get("spec") or {}
    extra: dict[str, Any] = {}
    others = []
    for metric in spec.pop("metrics", None) or ():
        if _is_cpu_utilization(metric) and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
        else:
            others.append(metric)
    if others:
        extra[_METRICS] = others
    if "behavior" in spec:
        extra[_BEHAVIOR] = spec.pop("behavior")
    status = document.get("status")
    if status is not None:
        others = []
        for metric in status.pop("currentMetrics", None) or ():
            if _is_cpu_utilization(metric) and "currentCPUUtilizationPercentage" not in status:
                status["currentCPUUtilizationPercentage"] = metric["resource"]["current"]["averageUtilization"]
            else:
                others.append(metric)
        if others:
            extra[_CURRENT] = others
        if "conditions" in status:
            extra[_CONDITIONS] = status.pop("conditions")
        status.setdefault("currentReplicas", 0)
        status.setdefault("desiredReplicas", 0)
    if extra:
        annotations = document["metadata"].setdefault("annotations", {})
        annotations.update({name: orjson.dumps(value).decode() for name, value in extra.items()})


_CONVERSIONS: dict[tuple[str, str, str], Conversion] = {
    ("events.k8s.io", "v1", "events"): Conversion(_event_to_core, _event_from_core),
    ("autoscaling", "v1", "horizontalpodautoscalers"): Conversion(_hpa_to_v2, _hpa_to_v1),
}
