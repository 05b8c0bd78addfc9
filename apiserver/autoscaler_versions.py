"""HorizontalPodAutoscalers between autoscaling/v1 and v2: what v1 has no field for stands in its annotations.

There a metric has the flat form of old versions, and behaviour the names of Go's fields, whose case does not matter
when they are read. What cannot be read is passed over.

Source: Kubernetes API reference (autoscaling/v1, MetricSpec and MetricStatus); pkg/apis/autoscaling/v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

Document = dict[str, Any]

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"

_MEMBERS = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}
_FLAT: dict[str, dict[str, str]] = {
    "Resource": {"averageUtilization": "{}AverageUtilization", "averageValue": "{}AverageValue"},
    "ContainerResource": {"averageUtilization": "{}AverageUtilization", "averageValue": "{}AverageValue"},
    "Pods": {"averageValue": "{}AverageValue"},
    "Object": {"value": "{}Value", "averageValue": "averageValue"},
    "External": {"value": "{}Value", "averageValue": "{}AverageValue"},
}
"""By type: the values of a target (or of what is current), and their flat names."""
_TYPES = {"averageValue": "AverageValue", "averageUtilization": "Utilization", "value": "Value"}
"""What a target is of: the first of these that it has."""
_BEHAVIOR_FIELDS = {
    name.lower(): name
    for name in (
        "stabilizationWindowSeconds",
        "selectPolicy",
        "policies",
        "tolerance",
        "type",
        "value",
        "periodSeconds",
    )
} | {"scaleup": "scaleUp", "scaledown": "scaleDown"}


def to_v2(document: Document) -> None:
    """Change a v1 document into one of v2, in place."""
    spec, status = document.setdefault("spec", {}), document.get("status")
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    metrics = [_nested(one, "target") for one in _list(annotations.pop(METRICS, None))]
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        metrics.insert(0, _cpu("target", {"type": "Utilization", "averageUtilization": percentage}))
    if metrics:
        spec["metrics"] = metrics
    behavior = _cased(_read(annotations.pop(BEHAVIOR, None)))
    if isinstance(behavior, dict):
        spec["behavior"] = behavior
    current = [_nested(one, "current") for one in _list(annotations.pop(CURRENT, None))]
    conditions = _list(annotations.pop(CONDITIONS, None))
    if status is not None:
        percentage = status.pop("currentCPUUtilizationPercentage", None)
        if percentage is not None and not current:
            current = [_cpu("current", {"averageUtilization": percentage})]
        if current:
            status["currentMetrics"] = current
        if conditions:
            status["conditions"] = conditions


def to_v1(document: Document) -> None:
    """Change a v2 document into one of v1, in place."""
    spec, status = document.setdefault("spec", {}), document.get("status")
    extra: Document = {}
    others = []
    for metric in spec.pop("metrics", None) or ():
        percentage = _cpu_percentage(metric, "target")
        if percentage is None:
            others.append(_flat(metric, "target"))
        else:
            spec.setdefault("targetCPUUtilizationPercentage", percentage)
    if others:
        extra[METRICS] = others
    if (behavior := spec.pop("behavior", None)) is not None:
        extra[BEHAVIOR] = _exported(behavior)
    if status is not None:
        current = status.pop("currentMetrics", None) or []
        for metric in current:
            if (percentage := _cpu_percentage(metric, "current")) is not None:
                status["currentCPUUtilizationPercentage"] = percentage
        if current:
            extra[CURRENT] = [_flat(metric, "current") for metric in current]
        if conditions := status.pop("conditions", None):
            extra[CONDITIONS] = conditions
        status.setdefault("currentReplicas", 0)
        status.setdefault("desiredReplicas", 0)
    if extra:
        annotations = document["metadata"].setdefault("annotations", {})
        annotations.update({name: orjson.dumps(value).decode() for name, value in extra.items()})


def _cpu(part: str, values: Document) -> Document:
    return {"type": "Resource", "resource": {"name": "cpu", part: values}}


def _cpu_percentage(metric: Mapping[str, Any], part: str) -> int | None:
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    found: int | None = (resource.get(part) or {}).get("averageUtilization")
    return found


def _flat(metric: Document, part: str) -> Document:
    """A metric of v2 as v1's annotation has it. `part` is what its values stand in: `target` or `current`."""
    kind = metric.get("type", "")
    if kind not in _MEMBERS:
        return metric
    source = dict(metric.get(_MEMBERS[kind]) or {})
    values = source.pop(part, None) or {}
    if (identifier := source.pop("metric", None)) is not None:
        source["metricName"] = identifier.get("name", "")
        if identifier.get("selector") is not None:
            source["metricSelector" if kind == "External" else "selector"] = identifier["selector"]
    if kind == "Object":
        source["target"] = source.pop("describedObject", {})
        values = {"value": "0", **values}  # its value is no pointer there
    for name, flat in _FLAT[kind].items():
        if values.get(name) is not None:
            source[flat.format(part)] = values[name]
    return {"type": kind, _MEMBERS[kind]: source}


def _nested(metric: Document, part: str) -> Document:
    """The way back."""
    kind = metric.get("type", "")
    source = metric.get(_MEMBERS.get(kind, "")) if isinstance(metric, dict) else None
    if not isinstance(source, dict):
        return metric
    source, values = dict(source), {}
    for name, flat in _FLAT[kind].items():
        value = source.pop(flat.format(part), None)
        if value is not None and not (kind == "Object" and value == "0"):
            values[name] = value
    if kind == "Object":
        source["describedObject"] = source.pop("target", {})
    if "metricName" in source:
        source["metric"] = {"name": source.pop("metricName")}
        selector = source.pop("metricSelector" if kind == "External" else "selector", None)
        if selector is not None:
            source["metric"]["selector"] = selector
    if part == "target":
        values["type"] = next((word for name, word in _TYPES.items() if name in values), "Value")
    return {"type": kind, _MEMBERS[kind]: {**source, part: values}}


def _exported(value: Any) -> Any:
    """As Go writes a struct without tags."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: _exported(each) for name, each in value.items()}
    return [_exported(each) for each in value] if isinstance(value, list) else value


def _cased(value: Any) -> Any:
    if isinstance(value, dict):
        known = ((_BEHAVIOR_FIELDS.get(name.lower()), each) for name, each in value.items())
        return {name: _cased(each) for name, each in known if name is not None and each is not None}
    return [_cased(each) for each in value] if isinstance(value, list) else value


def _read(text: Any) -> Any:
    try:
        return orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        return None


def _list(text: Any) -> list[Any]:
    found = _read(text)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
