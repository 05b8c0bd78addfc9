"""Counting the pods of a Job exactly once, whatever is deleted and whoever is restarted meanwhile.

Each pod carries a finalizer until it is counted. A pod that ended is first written into the status as uncounted, then
loses its finalizer, then moves from uncounted to the counters, once the cache shows that the finalizer is gone. Every
status is written against the revision that it was computed from.

Source: Kubernetes documentation, "Jobs": job tracking with finalizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k8slite.kinds.batch import Job, UncountedTerminatedPods

from ..pods import Pod
from . import indexes

FINALIZER = "batch.kubernetes.io/job-tracking"


@dataclass(frozen=True, slots=True)
class Counts:
    """What the status is to say, and which pods may lose their finalizer once it does."""

    succeeded: int
    failed: int
    completed: frozenset[int]
    uncounted: UncountedTerminatedPods
    untrack: tuple[Pod, ...]

    @property
    def all_succeeded(self) -> int:
        """Successes, those not yet in the counter included."""
        return self.succeeded + len(self.uncounted.succeeded)

    @property
    def all_failed(self) -> int:
        """Failures, those not yet in the counter included."""
        return self.failed + len(self.uncounted.failed)


def count(job: Job, pods: Sequence[Pod], *, give_up: bool) -> Counts:
    """Count what ended. `give_up` counts pods that still run as ended too: the Job is over and deletes them."""
    old = job.status.uncounted_terminated_pods or UncountedTerminatedPods()
    tracked = {pod.uid for pod in pods if FINALIZER in pod.metadata.finalizers}
    succeeded = job.status.succeeded + sum(1 for uid in old.succeeded if uid not in tracked)
    failed = job.status.failed + sum(1 for uid in old.failed if uid not in tracked)
    still_succeeded = [uid for uid in old.succeeded if uid in tracked]
    still_failed = [uid for uid in old.failed if uid in tracked]
    known = {*still_succeeded, *still_failed}
    indexed = job.spec.completion_mode == "Indexed"
    done = set(indexes.parse(job.status.completed_indexes)) if indexed else set()
    untrack = []
    for pod in pods:
        if pod.uid not in tracked:
            continue
        if pod.uid in known:
            untrack.append(pod)
        elif pod.status.phase == "Succeeded":
            index = completion_index(pod)
            if indexed and (index is None or index in done or index >= (job.spec.completions or 0)):
                untrack.append(pod)  # a second success of one index counts for nothing
                continue
            if index is not None:
                done.add(index)
            still_succeeded.append(pod.uid)
            untrack.append(pod)
        elif job.spec.suspend and pod.deleting and not pod.finished:
            untrack.append(pod)  # suspending is no failure
        elif failed_pod(pod) or give_up:
            still_failed.append(pod.uid)
            untrack.append(pod)
    uncounted = UncountedTerminatedPods(succeeded=still_succeeded, failed=still_failed)
    return Counts(succeeded, failed, frozenset(done), uncounted, tuple(untrack))


def failed_pod(pod: Pod) -> bool:
    """Whether the pod counts as a failure: a pod that is being deleted will not succeed any more."""
    return pod.status.phase == "Failed" or (pod.deleting and pod.status.phase != "Succeeded")


def completion_index(pod: Pod) -> int | None:
    """The index that the pod works on."""
    text = pod.metadata.annotations.get(indexes.INDEX, "")
    return int(text) if text.isdigit() else None
