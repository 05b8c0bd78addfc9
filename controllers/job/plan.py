"""What one sync of a Job does: what its status says, which pods to make, free and delete, and whether it is over.

A Job's end has two steps. First its fate is written down (`SuccessCriteriaMet`, `FailureTarget`); then its pods are
deleted and counted; when nothing is left of them, it is Complete or Failed.

Source: Kubernetes documentation, "Jobs".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from k8slite import conditions
from k8slite.kinds.batch import Job, JobCondition, JobStatus

from ..pods import Pod
from . import counting, terms, verdict
from .counting import Counts
from .staffing import NewPod, staff, surplus

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
_SOON = 0.01
"""Seconds after a moment by which it has surely passed."""


@dataclass(frozen=True, slots=True)
class Saying:
    """An event to tell once the status is written."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync does, in this order.

    `create` comes first, as the status tells of it (`active` there is without them). Then the status, if it changed;
    then `untrack`, pods that it counts and that may lose their finalizer; then `remove`, pods that lose their finalizer
    and are deleted, and count as nothing; then `delete`, which keeps finalizers.
    """

    status: JobStatus
    create: tuple[NewPod, ...] = ()
    untrack: tuple[Pod, ...] = ()
    remove: tuple[Pod, ...] = ()
    delete: tuple[Pod, ...] = ()
    requeue_after: float | None = None
    says: tuple[Saying, ...] = ()


def plan(*, job: Job, pods: Sequence[Pod], now: datetime, deleted: Collection[str] = ()) -> Plan:
    """Decide for a Job and the pods that it owns.

    `deleted` are UIDs of pods whose deletion the API has accepted, whatever the cache says.
    """
    if job.finished is not None:
        return Plan(job.status, untrack=tuple(pod for pod in pods if terms.tracked(pod)))
    return _Decision(job, pods, now=now, deleted=deleted).plan()


class _Decision:
    """The working state of one decision for a Job that is not over."""

    def __init__(self, job: Job, pods: Sequence[Pod], *, now: datetime, deleted: Collection[str]) -> None:
        self._moment = now.replace(microsecond=0)
        self._now = now
        self._listed = list(job.status.conditions)
        self._says: list[Saying] = []
        self._job = self._suspended(job)
        self._pods = pods
        self._deleted = deleted
        self._active = [pod for pod in pods if terms.active(pod, deleted)]
        self._terminating = sum(1 for pod in pods if terms.terminating(pod, deleted))

    def plan(self) -> Plan:
        job, waits = self._job, [verdict.deadline(self._job, now=self._now)]
        fate = verdict.recorded(job)
        counts = counting.count(job, self._pods, over=fate.type if fate else "", deleted=self._deleted)
        if fate is None:
            fate = verdict.judge(job, self._pods, counts, now=self._now, active=len(self._active))
        create: tuple[NewPod, ...] = ()
        remove: tuple[Pod, ...] = ()
        delete: tuple[Pod, ...] = ()
        over: JobCondition | None = None
        if fate is not None:
            waits = []
            self._listed = conditions.put(self._listed, fate, now=self._now)
            delete = tuple(self._active)
            over = self._end(fate, counts)
        elif job.deleting:
            waits = []
        elif job.spec.suspend:
            remove = surplus(job, self._active, at_least=len(self._active))
        else:
            staffing = staff(job, self._pods, counts, now=self._now, deleted=self._deleted)
            create, remove = staffing.create, staffing.remove
            waits.append(staffing.wait)
        return Plan(
            self._status(counts, going={pod.uid for pod in (*remove, *delete)}, over=over),
            create=create,
            untrack=counts.untrack,
            remove=remove,
            delete=delete,
            requeue_after=min((max(wait, 0.0) + _SOON for wait in waits if wait is not None), default=None),
            says=tuple(self._says),
        )

    def _suspended(self, job: Job) -> Job:
        """The Job with the start that it has now: one that goes on starts anew. Its condition and events follow."""
        status = job.status
        paused = conditions.is_true(self._listed, SUSPENDED)
        started = status.start_time
        if job.deleting or verdict.recorded(job) is not None:
            return job
        if job.spec.suspend and not paused:
            self._tell("JobSuspended", "Job suspended", Saying("Suspended", "Job suspended"), status="True")
        elif not job.spec.suspend and paused:
            self._tell("JobResumed", "Job resumed", Saying("Resumed", "Job resumed"), status="False")
            started = self._moment
        elif not job.spec.suspend:
            started = started or self._moment
        if started == status.start_time:
            return job
        return job.model_copy(update={"status": status.model_copy(update={"start_time": started})})

    def _tell(self, reason: str, message: str, saying: Saying, *, status: str) -> None:
        news = verdict.condition(SUSPENDED, reason, message, now=self._now, status=status)
        self._listed = conditions.put(self._listed, news, now=self._now)
        self._says.append(saying)

    def _end(self, fate: JobCondition, counts: Counts) -> JobCondition | None:
        """The last condition, if nothing is left to wait for."""
        if self._active or self._terminating or not counts.settled:
            return None
        type_ = COMPLETE if fate.type == verdict.SUCCESS else FAILED
        over = verdict.condition(type_, fate.reason, fate.message, now=self._now)
        self._listed = conditions.put(self._listed, over, now=self._now)
        if type_ == FAILED:
            self._says.append(Saying(fate.reason, fate.message, "Warning"))
            return over
        wanted = self._job.spec.completions
        if wanted is not None and counts.succeeded > wanted:
            message = "Too many succeeded pods running after completion count reached"
            self._says.append(Saying("TooManySucceededPods", message, "Warning"))
        self._says.append(Saying("Completed", "Job completed"))
        return over

    def _status(self, counts: Counts, *, going: Collection[str], over: JobCondition | None) -> JobStatus:
        staying = [pod for pod in self._active if pod.uid not in going]
        return JobStatus(
            conditions=self._listed,
            start_time=self._job.status.start_time,
            completion_time=self._moment if over is not None and over.type == COMPLETE else None,
            active=len(staying),
            ready=sum(1 for pod in staying if pod.ready),
            succeeded=counts.succeeded,
            failed=counts.failed,
            terminating=self._terminating + len(going),
            completed_indexes=str(counts.completed),
            failed_indexes=None if counts.failed_indexes is None else str(counts.failed_indexes),
            uncounted_terminated_pods=counts.uncounted,
        )
