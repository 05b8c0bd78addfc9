"""What a Job's terms mean for one pod: whether it is tracked, has failed, and works on which index."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from k8slite.kinds.batch import Job

from ..pods import Pod, ready_condition
from .indexes import INDEX

FINALIZER = "batch.kubernetes.io/job-tracking"
"""On each pod of a Job until it is counted."""
MANAGER = "kubernetes.io/job-controller"
"""What `managedBy` calls this controller."""
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
"""Annotations of a pod: how often its index had failed when it was made, and how often that was ignored."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def managed_elsewhere(job: Job) -> bool:
    """Whether another controller has the Job."""
    return job.spec.managed_by not in (None, MANAGER)


def indexed(job: Job) -> bool:
    """Whether each pod works on an index of its own."""
    return job.spec.completion_mode == "Indexed"


def awaits_the_end(job: Job) -> bool:
    """Whether a pod that is being deleted is replaced only once it has ended."""
    return job.spec.pod_replacement_policy == "Failed" or job.spec.pod_failure_policy is not None


def tracked(pod: Pod) -> bool:
    """Whether the pod is still to be counted."""
    return FINALIZER in pod.metadata.finalizers


def failed(job: Job, pod: Pod) -> bool:
    """Whether the pod counts as a failure. One that is being deleted does at once, unless its end is awaited."""
    if pod.status.phase == "Failed":
        return True
    return pod.deleting and pod.status.phase != "Succeeded" and not awaits_the_end(job)


def active(pod: Pod, deleted: Collection[str]) -> bool:
    """Whether the pod works; `deleted` are UIDs of pods whose deletion the cache may not show yet."""
    return pod.active and pod.uid not in deleted


def terminating(pod: Pod, deleted: Collection[str]) -> bool:
    """Whether the pod is on its way out, but still there."""
    return not pod.finished and (pod.deleting or pod.uid in deleted)


def index_of(job: Job, pod: Pod) -> int | None:
    """The index that the pod works on, if the Job has it."""
    text = pod.metadata.annotations.get(INDEX, "")
    if not text.isdecimal() or int(text) >= (job.spec.completions or 0):
        return None
    return int(text)


def index_failures(pod: Pod) -> tuple[int, int]:
    """How often the pod's index had failed before it, and how often that was ignored."""
    return _count(pod, FAILURES), _count(pod, IGNORED_FAILURES)


def _count(pod: Pod, annotation: str) -> int:
    text = pod.metadata.annotations.get(annotation, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def ended_at(pod: Pod) -> datetime:
    """When a pod ended: by its containers, else when it ceased to be ready, else when it was deleted."""
    moments = [
        status.state.terminated.finished_at if status.state and status.state.terminated else None
        for status in pod.status.container_statuses
    ]
    known = [moment for moment in moments if moment is not None]
    if known and len(known) == len(moments):
        return max(known)
    ready = ready_condition(pod)
    if ready is not None and ready.status == "False" and ready.last_transition_time is not None:
        return ready.last_transition_time
    if pod.metadata.deletion_timestamp is not None:
        return pod.metadata.deletion_timestamp - timedelta(seconds=pod.metadata.deletion_grace_period_seconds or 0)
    return pod.metadata.creation_timestamp or _LONG_AGO
