"""What one sync of a Job does: which pods to make and delete, and whether the Job is over.

Source: Kubernetes documentation, "Jobs".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from k8slite import conditions
from k8slite.kinds.base import Condition
from k8slite.kinds.batch import Job, JobStatus

from ..pods import Pod
from . import counting, indexes
from .counting import FINALIZER

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
SUCCESS_CRITERIA, FAILURE_TARGET = "SuccessCriteriaMet", "FailureTarget"
FIRST_BACKOFF, LAST_BACKOFF = 10.0, 600.0
"""Seconds from a failure to the next pod; each further failure in a row doubles them."""
BURST = 500

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync does. First the status, if it changed; then `untrack`, which relies on it; then the pods.

    `create` holds an index for each pod to make, None for a Job without indexes. `expired` means that the Job itself
    has been over for long enough.
    """

    status: JobStatus
    untrack: tuple[Pod, ...] = ()
    create: tuple[int | None, ...] = ()
    delete: tuple[Pod, ...] = ()
    requeue_after: float | None = None
    expired: bool = False
    finished: Condition | None = None


def finished(job: Job) -> Condition | None:
    """The condition that says that the Job is over."""
    return next((c for c in job.status.conditions if c.type in (COMPLETE, FAILED) and c.status == "True"), None)


def plan(*, job: Job, pods: Sequence[Pod], now: datetime, deleted: Collection[str] = ()) -> Plan:
    """Decide for a Job and the pods that it owns."""
    if (over := finished(job)) is not None:
        return _after(job, pods, over, now=now)
    if job.deleting:
        return Plan(job.status, untrack=tuple(pod for pod in pods if FINALIZER in pod.metadata.finalizers))
    return _Decision(job, pods, now=now, deleted=deleted).plan()


def _after(job: Job, pods: Sequence[Pod], over: Condition, *, now: datetime) -> Plan:
    untrack = tuple(pod for pod in pods if FINALIZER in pod.metadata.finalizers)
    ttl = job.spec.ttl_seconds_after_finished
    if ttl is None or over.last_transition_time is None or job.deleting:
        return Plan(job.status, untrack=untrack)
    left = (over.last_transition_time + timedelta(seconds=ttl) - now).total_seconds()
    return Plan(job.status, untrack=untrack, requeue_after=max(left, 0.0) + 0.01, expired=left <= 0)


class _Decision:
    """The working state of one decision for a Job that is not over."""

    def __init__(self, job: Job, pods: Sequence[Pod], *, now: datetime, deleted: Collection[str]) -> None:
        self._job = job
        self._pods = pods
        self._now = now
        self._moment = now.replace(microsecond=0)
        self._deleted = deleted
        self._active = [pod for pod in pods if pod.active and pod.uid not in deleted]
        self._waits: list[float] = []

    def plan(self) -> Plan:
        job = self._job
        listed = list(job.status.conditions)
        target = self._target(listed)
        counts = counting.count(job, self._pods, give_up=target is not None and target.type == FAILURE_TARGET)
        if target is None:
            target = self._verdict(counts)
        listed, started = self._suspension(listed)
        create: tuple[int | None, ...] = ()
        delete: tuple[Pod, ...] = ()
        over: Condition | None = None
        if target is not None:
            listed = conditions.put(listed, target, now=self._now)
            delete = tuple(self._active)
            if not delete and not self._terminating() and not counts.uncounted.succeeded + counts.uncounted.failed:
                over = self._final(target)
                listed = conditions.put(listed, over, now=self._now)
        elif job.spec.suspend:
            delete = tuple(self._active)
        else:
            create, delete = self._pods_to_change(counts)
        going = {pod.uid for pod in delete}
        status = JobStatus(
            conditions=listed,
            start_time=started,
            completion_time=self._moment if over is not None and over.type == COMPLETE else None,
            active=len(self._active) - len(delete),
            ready=sum(1 for pod in self._active if pod.ready and pod.uid not in going),
            succeeded=counts.succeeded,
            failed=counts.failed,
            terminating=self._terminating() + len(delete),
            completed_indexes=indexes.render(counts.completed),
            uncounted_terminated_pods=counts.uncounted,
        )
        return Plan(status, counts.untrack, create, delete, requeue_after=min(self._waits, default=None), finished=over)

    def _target(self, listed: Sequence[Condition]) -> Condition | None:
        for type_ in (FAILURE_TARGET, SUCCESS_CRITERIA):
            if conditions.is_true(listed, type_):
                return conditions.find(listed, type_)
        return None

    def _verdict(self, counts: counting.Counts) -> Condition | None:
        """Whether the Job is decided now."""
        spec = self._job.spec
        if counts.all_failed > spec.backoff_limit or self._restarted_too_often():
            message = "Job has reached the specified backoff limit"
            return self._condition(FAILURE_TARGET, "BackoffLimitExceeded", message)
        if self._deadline_passed():
            message = "Job was active longer than specified deadline"
            return self._condition(FAILURE_TARGET, "DeadlineExceeded", message)
        if spec.completions is None:
            done = counts.all_succeeded > 0 and not self._active
        else:
            done = counts.all_succeeded >= spec.completions
        if done and not spec.suspend:
            return self._condition(SUCCESS_CRITERIA, "CompletionsReached", "Reached expected number of succeeded pods")
        return None

    def _final(self, target: Condition) -> Condition:
        type_ = FAILED if target.type == FAILURE_TARGET else COMPLETE
        return self._condition(type_, target.reason, target.message)

    def _condition(self, type_: str, reason: str, message: str, *, status: str = "True") -> Condition:
        return Condition(type=type_, status=status, reason=reason, message=message)

    def _restarted_too_often(self) -> bool:
        """Pods that restart in place count by their restarts."""
        if self._job.spec.template.spec.get("restartPolicy") != "OnFailure":
            return False
        restarts = sum(
            status.restart_count
            for pod in self._active
            for status in [*pod.status.init_container_statuses, *pod.status.container_statuses]
        )
        limit = self._job.spec.backoff_limit
        return restarts > 0 if not limit else restarts >= limit

    def _deadline_passed(self) -> bool:
        spec, started = self._job.spec, self._job.status.start_time
        if spec.active_deadline_seconds is None or spec.suspend:
            return False
        left = float(spec.active_deadline_seconds)
        if started is not None:
            left -= (self._now - started).total_seconds()
        self._waits.append(max(left, 0.0) + 0.05)
        return left <= 0

    def _suspension(self, listed: list[Condition]) -> tuple[list[Condition], datetime | None]:
        """The conditions with what suspending says, and the start time: a resumed Job starts anew."""
        started = self._job.status.start_time
        if self._job.spec.suspend:
            if not conditions.is_true(listed, SUSPENDED):
                news = self._condition(SUSPENDED, "JobSuspended", "Job suspended")
                listed = conditions.put(listed, news, now=self._now)
            return listed, None
        if conditions.is_true(listed, SUSPENDED):
            news = self._condition(SUSPENDED, "JobResumed", "Job resumed", status="False")
            listed = conditions.put(listed, news, now=self._now)
            started = None
        return listed, started or self._moment

    def _pods_to_change(self, counts: counting.Counts) -> tuple[tuple[int | None, ...], tuple[Pod, ...]]:
        spec = self._job.spec
        parallelism = 1 if spec.parallelism is None else spec.parallelism
        if spec.completions is None:
            wanted = len(self._active) if counts.all_succeeded else parallelism
        else:
            wanted = min(parallelism, spec.completions - counts.all_succeeded)
        wanted = min(max(wanted, 0), BURST)
        if len(self._active) > parallelism:
            surplus = len(self._active) - wanted
            return (), tuple(sorted(self._active, key=lambda pod: (pod.ready, _created(pod)))[:surplus])
        missing = wanted - len(self._active)
        # A pod that is on its way out still holds its place: one index is never worked on by two.
        missing -= self._terminating() if spec.completion_mode == "Indexed" else 0
        if missing <= 0 or not self._may_create():
            return (), ()
        if spec.completion_mode != "Indexed":
            return (None,) * missing, ()
        busy = {counting.completion_index(pod) for pod in self._pods if not pod.finished}
        free = [n for n in range(spec.completions or 0) if n not in counts.completed and n not in busy]
        return tuple(free[:missing]), ()

    def _may_create(self) -> bool:
        """Whether enough time has passed since the last failures."""
        ended = sorted((pod for pod in self._pods if pod.finished), key=_ended, reverse=True)
        failures = 0
        for pod in ended:
            if pod.status.phase != "Failed":
                break
            failures += 1
        if not failures:
            return True
        delay = min(FIRST_BACKOFF * 2.0 ** (failures - 1), LAST_BACKOFF)
        left = delay - (self._now - _ended(ended[0])).total_seconds()
        if left > 0:
            self._waits.append(left + 0.01)
        return left <= 0

    def _terminating(self) -> int:
        return sum(1 for pod in self._pods if not pod.finished and (pod.deleting or pod.uid in self._deleted))


def _created(pod: Pod) -> datetime:
    return pod.metadata.creation_timestamp or _LONG_AGO


def _ended(pod: Pod) -> datetime:
    """When the last container ended."""
    moments = [
        status.state.terminated.finished_at
        for status in pod.status.container_statuses
        if status.state and status.state.terminated and status.state.terminated.finished_at
    ]
    return max(moments, default=_created(pod))
