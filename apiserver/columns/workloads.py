"""Columns of what makes pods, and of what scales or protects it."""

from __future__ import annotations

from datetime import datetime

from k8slite.durations import human_duration, read

from .base import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Column,
    Document,
    age,
    at,
    computed,
    condition,
    container_columns,
    count,
    flag,
    integer,
    is_true,
    labels,
    text,
)


def _ready(document: Document) -> str:
    return f"{at(document, 'status.readyReplicas', 0)}/{at(document, 'spec.replicas', 0)}"


def _completions(job: Document) -> str:
    succeeded, wanted = at(job, "status.succeeded", 0), at(job, "spec.completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    parallelism = at(job, "spec.parallelism", 0)
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(job: Document, now: datetime) -> str:
    start, end = read(at(job, "status.startTime")), read(at(job, "status.completionTime"))
    return human_duration((end or now) - start) if start else ""


def _job_status(job: Document) -> str:
    if is_true(job, "Complete"):
        return "Complete"
    if is_true(job, "Failed"):
        return "Failed"
    if at(job, "metadata.deletionTimestamp"):
        return "Terminating"
    return next(
        (name for name in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if is_true(job, name)), "Running"
    )


def _owner(revision: Document) -> str:
    owner = next((each for each in at(revision, "metadata.ownerReferences", ()) if each.get("controller")), None)
    if owner is None:
        return NONE
    group = owner.get("apiVersion", "").rpartition("/")[0]
    kind = owner.get("kind", "").lower()
    return f"{kind}.{group}/{owner.get('name', '')}" if group else f"{kind}/{owner.get('name', '')}"


def _targets(autoscaler: Document) -> str:
    metrics = at(autoscaler, "spec.metrics", ())
    current = at(autoscaler, "status.currentMetrics", ())
    shown = [_target(metric, current[index] if index < len(current) else {}) for index, metric in enumerate(metrics)]
    if not shown:
        return NONE
    more = f" + {len(shown) - 2} more..." if len(shown) > 2 else ""
    return ", ".join(shown[:2]) + more


def _target(metric: Document, status: Document) -> str:
    kind = metric.get("type", "")
    member = kind[:1].lower() + kind[1:]
    target, current = at(metric, f"{member}.target", {}), at(status, f"{member}.current", {})
    average = "averageValue" in target
    if kind in ("Resource", "ContainerResource"):
        name = at(metric, f"{member}.name", "")
        if average:
            return f"{name}: {current.get('averageValue', UNKNOWN)}/{target['averageValue']}"
        wanted, found = target.get("averageUtilization"), current.get("averageUtilization")
        return f"{name}: {UNKNOWN if found is None else f'{found}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if average:
        suffix = "" if kind == "Pods" else " (avg)"
        return f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']}{suffix}"
    if "value" in target:
        return f"{current.get('value', UNKNOWN)}/{target['value']}"
    return "<unknown type>"


def _targets_v1(autoscaler: Document) -> str:
    wanted = at(autoscaler, "spec.targetCPUUtilizationPercentage")
    found = at(autoscaler, "status.currentCPUUtilizationPercentage")
    return NONE if wanted is None else f"cpu: {UNKNOWN if found is None else f'{found}%'}/{wanted}%"


def _limit(path: str) -> Column:
    name = "Min Available" if path.endswith("minAvailable") else "Max Unavailable"
    return computed(name, lambda document: str(at(document, path, "N/A")))


def _available(service: Document) -> str:
    found = condition(service, "Available")
    if found is None:
        return "Unknown"
    return "True" if found.get("status") == "True" else f"{found.get('status')} ({found.get('reason', '')})"


REPLICATION_CONTROLLER = (
    NAME,
    integer("Desired", "spec.replicas"),
    integer("Current", "status.replicas"),
    integer("Ready", "status.readyReplicas"),
    AGE,
    *container_columns("spec.template"),
    computed("Selector", lambda document: labels(at(document, "spec.selector")), wide=True),
)
REPLICA_SET = (*REPLICATION_CONTROLLER[:5], *container_columns("spec.template", "spec.selector"))
DEPLOYMENT = (
    NAME,
    computed("Ready", _ready),
    integer("Up-to-date", "status.updatedReplicas", type="string"),
    integer("Available", "status.availableReplicas", type="string"),
    AGE,
    *container_columns("spec.template", "spec.selector"),
)
STATEFUL_SET = (NAME, computed("Ready", _ready), AGE, *container_columns("spec.template"))
DAEMON_SET = (
    NAME,
    integer("Desired", "status.desiredNumberScheduled"),
    integer("Current", "status.currentNumberScheduled"),
    integer("Ready", "status.numberReady"),
    integer("Up-to-date", "status.updatedNumberScheduled"),
    integer("Available", "status.numberAvailable"),
    computed("Node Selector", lambda document: labels(at(document, "spec.template.spec.nodeSelector"))),
    AGE,
    *container_columns("spec.template", "spec.selector"),
)
JOB = (
    NAME,
    computed("Status", _job_status),
    computed("Completions", _completions),
    Column("Duration", _duration),
    AGE,
    *container_columns("spec.template", "spec.selector"),
)
CRON_JOB = (
    NAME,
    text("Schedule", "spec.schedule"),
    text("Timezone", "spec.timeZone", default=NONE),
    computed("Suspend", lambda document: flag(at(document, "spec.suspend")), type="boolean"),
    count("Active", "status.active", type="integer"),
    age("Last Schedule", "status.lastScheduleTime", default=NONE),
    AGE,
    *container_columns("spec.jobTemplate.spec.template", "spec.jobTemplate.spec.selector"),
)
POD_TEMPLATE = (
    NAME,
    *(Column(each.name, each.read) for each in container_columns("template")),
    computed("Pod Labels", lambda document: labels(at(document, "template.metadata.labels"))),
)
CONTROLLER_REVISION = (NAME, computed("Controller", _owner), integer("Revision", "revision", type="string"), AGE)
POD_DISRUPTION_BUDGET = (
    NAME,
    _limit("spec.minAvailable"),
    _limit("spec.maxUnavailable"),
    integer("Allowed Disruptions", "status.disruptionsAllowed"),
    AGE,
)


def autoscaler_columns(version: str) -> tuple[Column, ...]:
    """HorizontalPodAutoscaler, whose metrics read differently in version 1."""
    return (
        NAME,
        computed(
            "Reference",
            lambda document: f"{at(document, 'spec.scaleTargetRef.kind')}/{at(document, 'spec.scaleTargetRef.name')}",
        ),
        computed("Targets", _targets_v1 if version == "v1" else _targets),
        computed("MinPods", lambda document: str(at(document, "spec.minReplicas", UNSET))),
        integer("MaxPods", "spec.maxReplicas", type="string"),
        integer("Replicas", "status.currentReplicas", type="string"),
        AGE,
    )


API_SERVICE = (
    NAME,
    computed(
        "Service",
        lambda document: (
            f"{at(document, 'spec.service.namespace', '')}/{at(document, 'spec.service.name', '')}"
            if at(document, "spec.service")
            else "Local"
        ),
    ),
    computed("Available", _available),
    AGE,
)
