"""Rules of `autoscaling`: HorizontalPodAutoscalers.

Source: Kubernetes' autoscaling validation (ValidateHorizontalPodAutoscaler).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required
from k8slite.quantity import QuantityError, parse

from . import names
from .values import at_least, each, named, needed, non_negative, optional_choice, positive, spelled

Document = dict[str, Any]

_ABOVE_ZERO = "must be greater than zero"
_LONGEST_PERIOD = 1800
_LONGEST_WINDOW = 3600
_SELECT = ("Disabled", "Max", "Min")
_POLICIES = ("Percent", "Pods")
_AMOUNTS = ("value", "averageValue", "averageUtilization")
_TARGETS = ("Utilization", "Value", "AverageValue")
# The order in which Kubernetes looks for the source of a metric.
_SOURCES = {
    "object": "Object",
    "external": "External",
    "pods": "Pods",
    "resource": "Resource",
    "containerResource": "ContainerResource",
}
_OUTSIDE = ("Object", "External")
_ZERO = "must specify at least one Object or External metric to support scaling to zero replicas"
_EITHER = "must set either a target raw value or a target utilization"


def horizontal_pod_autoscaler(obj: Document) -> list[Cause]:
    """What is wrong with a HorizontalPodAutoscaler (autoscaling/v2)."""
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    causes = at_least(0, least, "spec.minReplicas")
    causes += positive(most, "spec.maxReplicas")
    if least is not None and most < least:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    causes += _target_reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    causes += each(spec.get("metrics"), "spec.metrics", _metric)
    if least == 0 and not any(metric.get("type") in _OUTSIDE for metric in spec.get("metrics") or ()):
        causes.append(forbidden_field("spec.metrics", _ZERO))
    for name in ("scaleUp", "scaleDown"):
        if (rules := (spec.get("behavior") or {}).get(name)) is not None:
            causes += _scaling_rules(rules, f"spec.behavior.{name}")
    return causes


def horizontal_pod_autoscaler_update(new: Document, old: Document) -> list[Cause]:
    """What is wrong with an autoscaler's changed status."""
    status = new.get("status") or {}
    if status == (old.get("status") or {}):
        return []
    counts = ("currentReplicas", "desiredReplicas")
    return [cause for name in counts for cause in non_negative(status.get(name), f"status.{name}")]


def _target_reference(reference: Document, field: str) -> list[Cause]:
    return [
        cause
        for name in ("kind", "name")
        for cause in named(reference.get(name), f"{field}.{name}", names.path_segment)
    ]


def _scaling_rules(rules: Document, field: str) -> list[Cause]:
    window, policies = rules.get("stabilizationWindowSeconds"), rules.get("policies")
    here, causes = f"{field}.stabilizationWindowSeconds", []
    if window is not None and window < 0:
        causes.append(invalid_value(here, window, "must be greater than or equal to zero"))
    if window is not None and window > _LONGEST_WINDOW:
        causes.append(invalid_value(here, window, f"must be less than or equal to {_LONGEST_WINDOW}"))
    causes += optional_choice(rules.get("selectPolicy"), f"{field}.selectPolicy", _SELECT)
    causes += needed(policies, f"{field}.policies", "must specify at least one Policy")
    causes += each(policies, f"{field}.policies", _scaling_policy)
    if (tolerance := rules.get("tolerance")) is not None and _is_negative(tolerance):
        detail = "must be greater than or equal to 0"
        causes.append(invalid_value(f"{field}.tolerance", str(tolerance), detail))
    return causes


def _scaling_policy(policy: Document, field: str) -> list[Cause]:
    kind, period = policy.get("type"), policy.get("periodSeconds") or 0
    causes = [] if kind in _POLICIES else [not_supported(f"{field}.type", kind or "", _POLICIES)]
    causes += positive(policy.get("value") or 0, f"{field}.value", _ABOVE_ZERO)
    causes += positive(period, f"{field}.periodSeconds", _ABOVE_ZERO)
    if period > _LONGEST_PERIOD:
        detail = f"must be less than or equal to {_LONGEST_PERIOD}"
        causes.append(invalid_value(f"{field}.periodSeconds", period, detail))
    return causes


def _metric(metric: Document, field: str) -> list[Cause]:
    kind = metric.get("type") or ""
    if kind not in _SOURCES.values():
        problem = required(f"{field}.type", "must specify a metric source type")
        causes = [not_supported(f"{field}.type", kind, tuple(_SOURCES.values()))]
        return [problem, *causes] if not kind else causes
    present = [name for name in _SOURCES if metric.get(name) is not None]
    causes = _source(present[0], metric[present[0]], f"{field}.{present[0]}") if present else []
    expected = next(name for name, word in _SOURCES.items() if word == kind)
    if expected not in present:
        causes.append(required(f"{field}.{expected}", "must populate information for the given metric source"))
    if present != [expected]:
        detail = "must populate the given metric source only"
        causes += [forbidden_field(f"{field}.{name}", detail) for name in present if name != expected]
    return causes


def _source(name: str, source: Document, field: str) -> list[Cause]:
    target, here = source.get("target") or {}, f"{field}.target"
    causes: list[Cause] = []
    match name:
        case "object":
            causes += _target_reference(source.get("describedObject") or {}, f"{field}.describedObject")
        case "resource":
            causes += needed(source.get("name"), f"{field}.name", "must specify a resource name")
        case "containerResource":
            causes += needed(source.get("name"), f"{field}.name", "must specify a resource name")
            if container := source.get("container"):
                causes += spelled(container, f"{field}.container", names.dns_label)
            else:
                causes.append(required(f"{field}.container", "must specify a container"))
    if name in ("object", "external", "pods"):
        metric = (source.get("metric") or {}).get("name")
        if metric:
            causes += spelled(metric, f"{field}.metric.name", names.path_segment)
        else:
            causes.append(required(f"{field}.metric.name", "must specify a metric name"))
    return causes + _target(target, here) + _which_target(name, target, here)


def _which_target(name: str, target: Document, field: str) -> list[Cause]:
    value, average, utilization = (
        target.get(key) is not None for key in ("value", "averageValue", "averageUtilization")
    )
    match name:
        case "object" if not value and not average:
            return [required(f"{field}.averageValue", "must set either a target value or averageValue")]
        case "external" if not value and not average:
            detail = "must set either a target value for metric or a per-pod target"
            return [required(f"{field}.averageValue", detail)]
        case "external" if value and average:
            detail = "may not set both a target value for metric and a per-pod target"
            return [forbidden_field(f"{field}.value", detail)]
        case "pods" if not average:
            return [required(f"{field}.averageValue", "must specify a positive target averageValue")]
        case "resource" | "containerResource" if not utilization and not average:
            return [required(f"{field}.averageUtilization", _EITHER)]
        case "resource" | "containerResource" if utilization and average:
            detail = "may not set both a target raw value and a target utilization"
            return [forbidden_field(f"{field}.averageValue", detail)]
    return []


def _target(target: Document, field: str) -> list[Cause]:
    kind = target.get("type") or ""
    causes = needed(kind, f"{field}.type", "must specify a metric target type")
    if kind not in _TARGETS:
        causes.append(invalid_value(f"{field}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        if (amount := target.get(name)) is not None and not _is_positive(amount):
            causes.append(invalid_value(f"{field}.{name}", amount, "must be positive"))
    return causes + positive(target.get("averageUtilization"), f"{field}.averageUtilization")


def _is_negative(quantity: Any) -> bool:
    try:
        return parse(quantity) < 0
    except QuantityError:
        return False


def _is_positive(quantity: Any) -> bool:
    try:
        return parse(quantity) > 0
    except QuantityError:
        return False
