"""One metric of an autoscaler: what the API answered becomes a number of replicas, or a reason why there is none.

Every sentence is upstream's, because users look for it.

Source: Kubernetes documentation, "Horizontal Pod Autoscaling"; pkg/controller/podautoscaler, horizontal.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8slite.kinds.autoscaling import MetricIdentifier, MetricSpec, MetricTarget, ResourceMetricSource
from k8slite.quantity import milli

from . import readings, words
from .pods import Unknown
from .proposals import Proposal, Rules, Workload, by_average, by_share, by_utilization, by_value, total
from .readings import Document


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A metrics API did not answer; why."""

    why: str


Answer = Sequence[Document] | Unreachable


@dataclass(frozen=True, slots=True)
class Verdict:
    """So many replicas, by this metric, and what is to be told of it in the status."""

    replicas: int
    name: str
    status: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A metric that says nothing: a word for programs, a sentence, and the sentence that sums it up."""

    reason: str
    message: str
    summary: str


def judge(
    metric: MetricSpec, answer: Answer, *, workload: Workload, rules: Rules, namespace: str, now: datetime
) -> Verdict | Failure:
    """Decide by one metric."""
    match metric.type:
        case "Resource":
            return _resource(metric.resource, answer, workload=workload, rules=rules, now=now)
        case "ContainerResource":
            return _resource(metric.container_resource, answer, workload=workload, rules=rules, now=now)
        case "Pods":
            return _pods(metric, answer, workload=workload, rules=rules, now=now)
        case "Object":
            return _object(metric, answer, workload=workload, rules=rules, namespace=namespace)
        case "External":
            return _external(metric, answer, workload=workload, rules=rules, namespace=namespace)
        case unknown:
            message = f'unknown metric source type "{unknown}"'
            return Failure("InvalidMetricSourceType", message, message)


def _resource(
    source: ResourceMetricSource, answer: Answer, *, workload: Workload, rules: Rules, now: datetime
) -> Verdict | Failure:
    name, container, target = source.name, source.container, source.target
    average = target.average_value is not None
    try:
        if not average and target.average_utilization is None:
            raise Unknown(
                "invalid resource metric source: neither an average utilization target nor an average value (usage)"
                " target was set"
            )
        try:
            items = _items(answer, "resource")
            samples = readings.pod_samples(items, resource=name, container=container)
        except Unknown as error:
            raise Unknown(f"unable to get metrics for resource {name}: {error}") from error
        if target.average_value is not None:
            wanted = milli(target.average_value)
            found = by_average(samples, wanted, workload=workload, rules=rules, resource=name, now=now)
        else:
            percentage = target.average_utilization or 1
            found = by_utilization(
                samples, percentage, workload=workload, rules=rules, resource=name, container=container, now=now
            )
    except Unknown as error:
        message = str(error)
        if not message.startswith("invalid"):
            message = f"failed to get {name} {'usage' if average else 'utilization'}: {message}"
        if container:
            summary = f"failed to get {container} container metric value: {message}"
            return Failure("FailedGetContainerResourceMetric", message, summary)
        summary = f"failed to get {name} resource metric value: {message}"
        return Failure("FailedGetResourceMetric", message, summary)
    current: dict[str, Any] = {"averageValue": words.amount(found.value)}
    if found.utilization is not None:
        current["averageUtilization"] = found.utilization
    what = "container resource" if container and not average else "resource"
    said = f"{name} {what}" + ("" if average else " utilization (percentage of request)")
    if container:
        status = {"name": name, "container": container, "current": current}
        return Verdict(found.replicas, said, {"type": "ContainerResource", "containerResource": status})
    return Verdict(found.replicas, said, {"type": "Resource", "resource": {"name": name, "current": current}})


def _pods(metric: MetricSpec, answer: Answer, *, workload: Workload, rules: Rules, now: datetime) -> Verdict | Failure:
    name, target = metric.pods.metric.name, metric.pods.target
    try:
        try:
            samples = readings.custom_samples(_items(answer, "custom"))
        except Unknown as error:
            raise Unknown(f"unable to get metric {name}: {error}") from error
        found = by_average(samples, milli(target.average_value or 0), workload=workload, rules=rules, now=now)
    except Unknown as error:
        return Failure("FailedGetPodsMetric", str(error), f"failed to get pods metric value: {error}")
    status = {"metric": _identifier(metric.pods.metric), "current": {"averageValue": words.amount(found.value)}}
    return Verdict(found.replicas, f"pods metric {name}", {"type": "Pods", "pods": status})


def _object(
    metric: MetricSpec, answer: Answer, *, workload: Workload, rules: Rules, namespace: str
) -> Verdict | Failure:
    source = metric.object
    name, about, target = source.metric.name, source.described_object, source.target
    by_type = {"Value": target.value, "AverageValue": target.average_value}
    try:
        if by_type.get(target.type) is None:
            raise Unknown("invalid object metric source: neither a value target nor an average value target was set")
        try:
            usage = readings.object_value(_items(answer, "custom"))
        except Unknown as error:
            raise Unknown(f"unable to get metric {name}: {error} on {about.kind} {namespace}/{about.name}") from error
        found = _of_one_value(usage, target, workload=workload, rules=rules)
    except Unknown as error:
        summary = f"failed to get {name} object metric: {error}" if target.type == "AverageValue" else str(error)
        return Failure("FailedGetObjectMetric", str(error), f"failed to get object metric value: {summary}")
    shared = target.type == "AverageValue"
    said = _external_name(source.metric) if shared else f"{about.kind} metric {name}"
    status = {
        "describedObject": about.to_wire(),
        "metric": _identifier(source.metric),
        "current": {"averageValue" if shared else "value": words.amount(found.value)},
    }
    return Verdict(found.replicas, said, {"type": "Object", "object": status})


def _external(
    metric: MetricSpec, answer: Answer, *, workload: Workload, rules: Rules, namespace: str
) -> Verdict | Failure:
    identifier, target = metric.external.metric, metric.external.target
    name, shared = identifier.name, target.average_value is not None
    try:
        if not shared and target.value is None:
            raise Unknown("invalid external metric source: neither a value target nor an average value target was set")
        try:
            usage = total(readings.external_values(_items(answer, "external")))
        except Unknown as error:
            which = f"{namespace}/{name}/{words.selector(identifier.selector)}"
            raise Unknown(f"unable to get external metric {which}: {error}") from error
        kind = target.model_copy(update={"type": "AverageValue" if shared else "Value"})
        found = _of_one_value(usage, kind, workload=workload, rules=rules)
    except Unknown as error:
        which = f"{name} external metric" if shared else f"external metric {name}"
        inner = str(error) if str(error).startswith("invalid") else f"failed to get {which}: {error}"
        return Failure("FailedGetExternalMetric", str(error), f"failed to get {name} external metric value: {inner}")
    current = {"averageValue" if shared else "value": words.amount(found.value)}
    status = {"metric": _identifier(identifier), "current": current}
    return Verdict(found.replicas, _external_name(identifier), {"type": "External", "external": status})


def _of_one_value(usage: int, target: MetricTarget, *, workload: Workload, rules: Rules) -> Proposal:
    if target.type == "AverageValue":
        return by_share(usage, milli(target.average_value or 0), workload=workload, rules=rules)
    return by_value(usage, milli(target.value or 0), workload=workload, rules=rules)


def _items(answer: Answer, api: str) -> Sequence[Document]:
    if isinstance(answer, Unreachable):
        raise Unknown(f"unable to fetch metrics from {api} metrics API: {answer.why}")
    return answer


def _identifier(metric: MetricIdentifier) -> dict[str, Any]:
    return metric.to_wire()


def _external_name(metric: MetricIdentifier) -> str:
    return f"external metric {metric.name}({words.selector(metric.selector)})"
