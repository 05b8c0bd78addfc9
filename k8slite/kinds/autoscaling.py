"""`autoscaling/v2`: how many replicas a workload should have, by what is measured."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .base import Condition, Model, Object

Amount = str | int | float
"""A quantity, as it is written."""


class CrossVersionObjectReference(Model):
    """An object of the same namespace."""

    kind: str = ""
    name: str = ""
    api_version: str = ""


class MetricIdentifier(Model):
    """A metric, and which of its series."""

    name: str = ""
    selector: dict[str, Any] | None = None


class MetricTarget(Model):
    """What a metric should be: one of the three."""

    type: str = ""
    value: Amount | None = None
    average_value: Amount | None = None
    average_utilization: int | None = None


class ResourceMetricSource(Model):
    """What pods use of a resource; of one container's alone if that is named."""

    name: str = ""
    container: str = ""
    target: MetricTarget = MetricTarget()


class PodsMetricSource(Model):
    """A metric of each pod."""

    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class ObjectMetricSource(Model):
    """A metric of one object."""

    described_object: CrossVersionObjectReference = CrossVersionObjectReference()
    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class ExternalMetricSource(Model):
    """A metric of no object in the cluster."""

    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class MetricSpec(Model):
    """One metric: the member that `type` names is set."""

    type: str = ""
    resource: ResourceMetricSource = ResourceMetricSource()
    container_resource: ResourceMetricSource = ResourceMetricSource()
    pods: PodsMetricSource = PodsMetricSource()
    object: ObjectMetricSource = ObjectMetricSource()
    external: ExternalMetricSource = ExternalMetricSource()


class ScalingPolicy(Model):
    """How much may change in a period: so many Pods, or so many Percent of them."""

    type: str
    value: int
    period_seconds: int


class ScalingRules(Model):
    """How fast to scale in one direction. Policies are there, by default if not by the user's wish."""

    stabilization_window_seconds: int | None = None
    select_policy: str = "Max"
    policies: list[ScalingPolicy] = []
    tolerance: Amount | None = None


_DOUBLE = ScalingPolicy(type="Percent", value=100, period_seconds=15)
_FOUR = ScalingPolicy(type="Pods", value=4, period_seconds=15)


class Behavior(Model):
    """How fast to scale."""

    scale_up: ScalingRules = ScalingRules(policies=[_FOUR, _DOUBLE], stabilization_window_seconds=0)
    scale_down: ScalingRules = ScalingRules(policies=[_DOUBLE])


class HorizontalPodAutoscalerSpec(Model):
    """What to scale, within which bounds, by what."""

    scale_target_ref: CrossVersionObjectReference = CrossVersionObjectReference()
    min_replicas: int = 1
    max_replicas: int = 0
    metrics: list[MetricSpec] = []
    behavior: Behavior | None = None


class HorizontalPodAutoscalerStatus(Model):
    """What was measured and decided."""

    observed_generation: int | None = None
    last_scale_time: datetime | None = None
    current_replicas: int = 0
    desired_replicas: int = 0
    current_metrics: list[dict[str, Any]] = []
    conditions: list[Condition] = []


class HorizontalPodAutoscaler(Object):
    """`autoscaling/v2.HorizontalPodAutoscaler`."""

    spec: HorizontalPodAutoscalerSpec = HorizontalPodAutoscalerSpec()
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()
