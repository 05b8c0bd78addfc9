"""What one sync of a CronJob does: which Job is started, which ones go, what the status says, when to come again.

Source: Kubernetes documentation, "CronJob".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from email.utils import format_datetime
from typing import Literal

from k8slite import schedules
from k8slite.kinds.batch import CronJob, CronJobStatus, Job
from k8slite.kinds.references import ObjectReference

from . import timing
from .job import name_for, oldest, reference, scheduled_for

_SOON = 0.05
"""Seconds after a start by which its minute has surely come."""
_LONGEST_WAIT = 300.0
"""Seconds until the wall clock is asked again: timers stand still while a machine sleeps, and learn of no clock that
was set."""


@dataclass(frozen=True, slots=True)
class Saying:
    """An event to tell. What is said `about` one start may be said again about the next."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"
    about: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync does, in this order.

    First the Jobs in `replace` are deleted, then the Job for `start` is made; the status with it is written; then
    the Jobs in `remove`, which the history has no room for, are deleted.
    """

    status: CronJobStatus
    start: datetime | None = None
    replace: tuple[ObjectReference, ...] = ()
    remove: tuple[Job, ...] = ()
    zone: tzinfo = UTC
    requeue_after: float | None = None
    says: tuple[Saying, ...] = ()


def plan(
    *,
    cronjob: CronJob,
    jobs: Sequence[Job],
    now: datetime,
    missing: Collection[str] = (),
    not_before: datetime | None = None,
    local: tzinfo = UTC,
) -> Plan:
    """Decide for a CronJob and the Jobs that it owns.

    `missing` are UIDs of active Jobs that the API does not know any more. `not_before` is when the schedule was
    changed, if that was seen. `local` is this program's time zone, in which schedules that name none are read.
    """
    return _Decision(cronjob, jobs, now=now, local=local).plan(missing, not_before)


class _Decision:
    """The working state of one decision."""

    def __init__(self, cronjob: CronJob, jobs: Sequence[Job], *, now: datetime, local: tzinfo) -> None:
        self._cronjob = cronjob
        self._jobs = jobs
        self._now = now
        self._local = local
        self._says: list[Saying] = []

    def plan(self, missing: Collection[str], not_before: datetime | None) -> Plan:
        cronjob, spec = self._cronjob, self._cronjob.spec
        status = self._observed(missing)
        cronjob = cronjob.model_copy(update={"status": status})
        remove = tuple(self._history())
        at_rest = Plan(status, remove=remove, says=())
        if cronjob.deleting:
            return self._told(at_rest)
        zone = timing.zone_of(spec.time_zone) if spec.time_zone is not None else self._local
        if zone is None:
            problem = f"invalid timeZone: {_quoted(spec.time_zone)}: unknown time zone {spec.time_zone}"
            return self._told(at_rest, Saying("UnknownTimeZone", problem, "Warning"))
        if spec.suspend:
            return self._told(at_rest)
        try:
            schedule = self._schedule()
        except schedules.ScheduleError as error:
            problem = f"unparseable schedule: {_quoted(spec.schedule)} : {error}"
            return self._told(at_rest, Saying("UnparseableSchedule", problem, "Warning"))
        due = timing.due(cronjob, schedule, now=self._now, zone=zone, not_before=not_before)
        if due.next is None and due.start is None:
            why = "time difference between two schedules is less than 1 second"
            problem = f"invalid schedule: {spec.schedule} : {why}"
            return self._told(at_rest, Saying("InvalidSchedule", problem, "Warning"))
        start, replace = self._start(status, due)
        return Plan(
            status,
            start=start,
            replace=replace,
            remove=remove,
            zone=zone if spec.time_zone is not None else UTC,
            requeue_after=self._wait(due.next) if due.next is not None else None,
            says=tuple(self._says),
        )

    def _wait(self, start: datetime) -> float:
        return min(max((start - self._now).total_seconds(), 0.0) + _SOON, _LONGEST_WAIT)

    def _told(self, plan: Plan, *more: Saying) -> Plan:
        return Plan(plan.status, remove=plan.remove, says=(*self._says, *more))

    def _say(
        self,
        reason: str,
        message: str,
        type: Literal["Normal", "Warning"] = "Normal",
        *,
        about: datetime | None = None,
    ) -> None:
        self._says.append(Saying(reason, message, type, about))

    def _schedule(self) -> schedules.Schedule:
        text = self._cronjob.spec.schedule
        if "TZ" in text:
            page = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"
            problem = f"CRON_TZ or TZ used in schedule {_quoted(text)} is not officially supported"
            self._say("UnsupportedSchedule", f"{problem}, see {page} for more details", "Warning")
        return schedules.parse(text)

    def _observed(self, missing: Collection[str]) -> CronJobStatus:
        """The status by what became of the Jobs. One that this controller made but has no note of, because it was
        stopped between the two, is noted now."""
        old = self._cronjob.status
        by_uid = {job.uid: job for job in self._jobs}
        active: list[ObjectReference] = []
        for noted in old.active:
            job = by_uid.get(noted.uid)
            if job is None and noted.uid in missing:
                self._say("MissingJob", f"Active job went missing: {noted.name}")
            elif job is not None and (over := job.finished) is not None:
                self._say("SawCompletedJob", f"Saw completed job: {job.name}, status: {over.type}")
            else:
                active.append(noted)
        listed = {noted.uid for noted in old.active}
        started, succeeded = [old.last_schedule_time], [old.last_successful_time]
        for job in self._jobs:
            made_for = scheduled_for(self._cronjob, job)
            started.append(made_for)
            succeeded.append(job.status.completion_time)
            if job.uid in listed or job.finished is not None or job.deleting:
                continue
            if made_for is not None:
                active.append(reference(job))
            else:
                message = f"Saw a job that the controller did not create or forgot: {job.name}"
                self._say("UnexpectedJob", message, "Warning")
        return CronJobStatus(active=active, last_schedule_time=_last(started), last_successful_time=_last(succeeded))

    def _history(self) -> list[Job]:
        spec = self._cronjob.spec
        over = [(job, job.finished) for job in self._jobs if not job.deleting]
        complete = [job for job, end in over if end is not None and end.type == "Complete"]
        failed = [job for job, end in over if end is not None and end.type == "Failed"]
        return [
            *oldest(complete, keep=spec.successful_jobs_history_limit),
            *oldest(failed, keep=spec.failed_jobs_history_limit),
        ]

    def _start(self, status: CronJobStatus, due: timing.Due) -> tuple[datetime | None, tuple[ObjectReference, ...]]:
        """The start to make now, and the Jobs that make way for it."""
        if due.too_late is not None:
            moment = format_datetime(due.too_late.astimezone(UTC))
            self._say("MissSchedule", f"Missed scheduled time to start a job: {moment}", "Warning")
        if due.start is None:
            return None, ()
        if due.many_missed:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._say("TooManyMissedTimes", message, "Warning", about=due.start)
        if name_for(self._cronjob, due.start) in {noted.name for noted in status.active}:
            return None, ()
        policy = self._cronjob.spec.concurrency_policy
        if policy == "Forbid" and status.active:
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._say("JobAlreadyActive", message, about=due.start)
            return None, ()
        return due.start, tuple(status.active) if policy == "Replace" else ()


def _last(moments: Sequence[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _quoted(text: str | None) -> str:
    return json.dumps(text or "", ensure_ascii=False)
