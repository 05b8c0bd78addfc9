"""Defaults of the workloads: the groups `apps` and `batch`, and ReplicationController.

Source: Kubernetes API reference (pkg/apis/{apps,batch,core}/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

from . import pods

Document = dict[str, Any]

_MAX_INT32 = 2**31 - 1


def deployment(obj: Document) -> None:
    """Fill in a Deployment."""
    spec = _workload(obj)
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def replicaset(obj: Document) -> None:
    """Fill in a ReplicaSet."""
    _workload(obj).setdefault("replicas", 1)


def replicationcontroller(obj: Document) -> None:
    """Fill in a ReplicationController, whose selector and labels default to its template's labels."""
    spec = obj.setdefault("spec", {})
    if spec.get("template"):
        pods.template(spec["template"])
        labels = spec["template"]["metadata"].get("labels")
        if labels:
            if not spec.get("selector"):
                spec["selector"] = dict(labels)
            if not obj["metadata"].get("labels"):
                obj["metadata"]["labels"] = dict(labels)
    spec.setdefault("replicas", 1)


def statefulset(obj: Document) -> None:
    """Fill in a StatefulSet."""
    spec = _workload(obj)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("partition", 0)
        rolling.setdefault("maxUnavailable", 1)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("metadata", {})
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
        claim.setdefault("status", {}).setdefault("phase", "Pending")


def daemonset(obj: Document) -> None:
    """Fill in a DaemonSet."""
    spec = _workload(obj)
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def job(obj: Document) -> None:
    """Fill in a Job."""
    spec = _workload(obj)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", _MAX_INT32 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    _failure_policy(spec)
    labels = spec["template"]["metadata"].get("labels") if spec.get("template") else None
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


def cronjob(obj: Document) -> None:
    """Fill in a CronJob."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    job_template = spec.setdefault("jobTemplate", {})
    job_template.setdefault("metadata", {})
    job_spec = job_template.setdefault("spec", {})
    if job_spec.get("template"):
        pods.template(job_spec["template"])
    _failure_policy(job_spec)


def _failure_policy(spec: Document) -> None:
    """A rule about a condition means the condition that is true."""
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"


def _workload(obj: Document) -> Document:
    spec: Document = obj.setdefault("spec", {})
    if spec.get("template") is not None:
        pods.template(spec["template"])
    return spec
