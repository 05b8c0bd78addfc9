"""Counting the pods of a Job exactly once, whatever is deleted and whoever is restarted meanwhile.

Each pod carries a finalizer until it is counted. A pod that ended is first written into the status as uncounted, then
loses its finalizer, then moves from uncounted to the counters, once the cache shows that the finalizer is gone. Every
status is written against the revision that it was computed from. Successes of Indexed Jobs need no such list: an index
that is in `completedIndexes` cannot be counted again.

With a limit for each index, a pod that failed is held, uncounted, until its replacement is there: the replacement says
in an annotation how often its index has failed.

Source: Kubernetes documentation, "Jobs": job tracking with finalizers, backoff limit per index.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from k8slite.kinds.batch import Job, UncountedTerminatedPods

from ..pods import Pod
from . import failure_policy, terms
from .indexes import Indexes

MOST_UNCOUNTED = 500
"""Pods in the status at once: about 20 kB."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the status is to say, and which pods may lose their finalizer once it does."""

    succeeded: int
    failed: int
    uncounted: UncountedTerminatedPods
    untrack: tuple[Pod, ...]
    completed: Indexes
    failed_indexes: Indexes | None
    held: Mapping[int, Pod]
    """By index, the failed pod that is to be replaced."""
    all_succeeded: int
    all_failed: int
    """With those that are not yet in the counters, or not even in the status."""
    settled: bool
    """Whether every pod that ended is in the counters, and no finalizer is left."""


def count(job: Job, pods: Sequence[Pod], *, over: str = "", deleted: Collection[str] = ()) -> Counts:
    """Count what ended.

    `over` is the condition by which the Job's fate is sealed, if it is: with FailureTarget, pods that still run count
    as failed; with SuccessCriteriaMet those that are deleted for it count as nothing.
    """
    return _Counting(job, pods, over=over, deleted=deleted).counts()


class _Counting:
    """The working state of one count."""

    def __init__(self, job: Job, pods: Sequence[Pod], *, over: str, deleted: Collection[str]) -> None:
        self._job = job
        self._over = over
        self._indexed = terms.indexed(job)
        self._per_index = self._indexed and job.spec.backoff_limit_per_index is not None
        self._tracked = [pod for pod in pods if terms.tracked(pod)]
        uids = {pod.uid for pod in self._tracked}
        old = job.status.uncounted_terminated_pods or UncountedTerminatedPods()
        self._succeeded = [uid for uid in old.succeeded if uid in uids]
        self._failed = [uid for uid in old.failed if uid in uids]
        self._moved_succeeded = len(old.succeeded) - len(self._succeeded)
        self._moved_failed = len(old.failed) - len(self._failed)
        known = {*self._succeeded, *self._failed}
        self._known = [pod for pod in self._tracked if pod.uid in known]
        self._fresh = [pod for pod in self._tracked if pod.uid not in known]
        self._working = {
            index for pod in pods if terms.active(pod, deleted) and (index := terms.index_of(job, pod)) is not None
        }

    def counts(self) -> Counts:
        status, most = self._job.status, self._job.spec.completions or 0
        completed = Indexes.parse(status.completed_indexes, below=most) if self._indexed else Indexes()
        broken = Indexes.parse(status.failed_indexes or "", below=most) if self._per_index else Indexes()
        if self._indexed:
            completed |= Indexes.of(
                index for pod in self._succeeding() if (index := self._index(pod)) is not None and index not in broken
            )
        if self._per_index and not self._over:  # pods that are deleted for the Job's fate say nothing of their index
            broken |= Indexes.of(
                index for pod in self._fresh if (index := self._broken(pod)) is not None and index not in completed
            )
        held = self._held(completed, broken) if self._per_index else {}
        fresh_failed = [pod for pod in self._fresh if self._counts_as_failed(pod)]
        all_failed = status.failed + self._moved_failed + len(self._failed) + len(fresh_failed)
        succeeded = completed.count if self._indexed else status.succeeded + self._moved_succeeded
        all_succeeded = succeeded
        if not self._indexed:
            all_succeeded += len(self._succeeded) + len(self._succeeding())
        untrack = self._untrack(fresh_failed={pod.uid for pod in fresh_failed}, held={p.uid for p in held.values()})
        return Counts(
            succeeded=succeeded,
            failed=status.failed + self._moved_failed,
            uncounted=UncountedTerminatedPods(succeeded=self._succeeded, failed=self._failed),
            untrack=untrack,
            completed=completed,
            failed_indexes=broken if self._per_index else None,
            held=held,
            all_succeeded=all_succeeded,
            all_failed=all_failed,
            settled=not self._tracked and not self._succeeded and not self._failed,
        )

    def _untrack(self, *, fresh_failed: Collection[str], held: Collection[str]) -> tuple[Pod, ...]:
        """Put the pods that ended into the lists, as many as they take; those pods may go."""
        untrack = list(self._known)
        for pod in self._fresh:
            if len(untrack) >= MOST_UNCOUNTED:
                break
            if pod.uid in held:
                continue
            if pod.status.phase == "Succeeded":
                if not self._indexed:
                    self._succeeded.append(pod.uid)
            elif pod.uid in fresh_failed:
                self._failed.append(pod.uid)
            elif not (self._over or self._job.deleting or terms.failed(self._job, pod)):
                continue
            untrack.append(pod)
        return tuple(untrack)

    def _succeeding(self) -> list[Pod]:
        return [pod for pod in self._fresh if pod.status.phase == "Succeeded"]

    def _index(self, pod: Pod) -> int | None:
        return terms.index_of(self._job, pod)

    def _counts_as_failed(self, pod: Pod) -> bool:
        if pod.status.phase == "Succeeded" or (self._indexed and self._index(pod) is None):
            return False
        if self._over == "SuccessCriteriaMet":
            fails = pod.status.phase == "Failed" and not pod.deleting
        else:
            fails = self._over == "FailureTarget" or terms.failed(self._job, pod)
        return fails and failure_policy.match(self._job, pod).counts

    def _broken(self, pod: Pod) -> int | None:
        """The pod's index if that has failed for good."""
        index = self._index(pod)
        if index is None or not terms.failed(self._job, pod):
            return None
        matched = failure_policy.match(self._job, pod)
        if matched.action == failure_policy.FAIL_INDEX:
            return index
        spent = terms.index_failures(pod)[0] >= (self._job.spec.backoff_limit_per_index or 0)
        return index if matched.counts and spent else None

    def _held(self, completed: Indexes, broken: Indexes) -> dict[int, Pod]:
        """The last failed pod of each index that is to be tried again and has no pod yet."""
        held: dict[int, Pod] = {}
        if self._over or self._job.deleting:
            return held
        for pod in self._fresh:
            index = self._index(pod)
            if index is None or index in self._working or index in completed or index in broken:
                continue
            if terms.failed(self._job, pod) and (index not in held or _later(pod, held[index])):
                held[index] = pod
        return held


def _later(pod: Pod, other: Pod) -> bool:
    return (sum(terms.index_failures(pod)), terms.ended_at(pod)) >= (
        sum(terms.index_failures(other)),
        terms.ended_at(other),
    )
