"""Starts the Jobs of CronJobs when their time has come, and removes old ones."""

from __future__ import annotations

import os
import zoneinfo
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.batch import CronJob, CronJobStatus, Job
from k8slite.kinds.references import ObjectReference
from k8slite.kinds.resources import CRON_JOBS, JOBS

from ..children import Ledger, all_of, create_once
from ..context import Context, Runnable, by_controller
from .job import job_of, reference
from .plan import Plan, Saying, plan
from .timing import zone_of


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [CronJobSync(context, local=local_zone()).controller]


def local_zone() -> tzinfo:
    """The time zone of this program: schedules without one are read in it."""
    if name := os.environ.get("TZ", "").removeprefix(":"):
        return zone_of(name) or UTC
    with suppress(OSError, ValueError), Path("/etc/localtime").open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file)
    return UTC


class CronJobSync:
    """Syncs CronJobs."""

    def __init__(self, context: Context, *, local: tzinfo) -> None:
        self._context = context
        self._local = local
        self._say = partial(context.say, "cronjob-controller")
        self._cronjobs = context.informers.of(CRON_JOBS)
        self._jobs = context.informers.of(JOBS, controller=by_controller)
        self._ledger = Ledger(self._jobs)
        self._changed: dict[str, datetime] = {}
        """When the schedule of a CronJob was changed, by its key, until it has started by the new one."""
        self._told: dict[str, set[Saying]] = {}
        """What was said of a CronJob and still holds: it is not said again at every look."""
        self.controller = Controller("cronjob", self.sync, clock=context.clock, workers=context.config.workers)
        self._cronjobs.add_handler(self._cronjob_changed)
        self._jobs.add_handler(self._job_changed)

    def _cronjob_changed(self, old: CronJob | None, new: CronJob | None) -> None:
        if new is None:
            if old is not None:
                self.controller.queue.add(old.key)
            return
        if old is not None and _rhythm(old) != _rhythm(new):
            self._changed[new.key] = self._context.clock.now()
        self.controller.queue.add(new.key)

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        for job in (old, new):
            owner = job.metadata.controller if job is not None else None
            if job is not None and owner is not None and owner.kind == "CronJob":
                self.controller.queue.add(f"{job.namespace}/{owner.name}")

    async def sync(self, key: str) -> Result:
        """One CronJob."""
        cronjob = self._cronjobs.get(key)
        if cronjob is None:
            self._forget(key)
            return DONE
        deleted = await self._ledger.settle(key)
        jobs = [job for job in self._jobs.by_index("controller", cronjob.uid) if job.uid not in deleted]
        decided = plan(
            cronjob=cronjob,
            jobs=jobs,
            now=self._context.clock.now(),
            missing=await self._missing(cronjob, jobs),
            not_before=self._changed.get(key),
            local=self._local,
        )
        self._tell(cronjob, decided.says)
        status = await self._carry_out(cronjob, decided)
        await self._write_status(cronjob, status)
        await all_of(self._delete(cronjob, reference(job)) for job in decided.remove)
        return Result(decided.requeue_after)

    def _forget(self, key: str) -> None:
        self._ledger.forget(key)
        self._changed.pop(key, None)
        self._told.pop(key, None)
        self.controller.queue.drop(key)

    def _tell(self, cronjob: CronJob, says: Sequence[Saying]) -> None:
        told = self._told.get(cronjob.key, set())
        for saying in says:
            if saying not in told:
                self._say(cronjob, saying.reason, saying.message, type=saying.type)
        if says:
            self._told[cronjob.key] = set(says)
        else:
            self._told.pop(cronjob.key, None)

    async def _missing(self, cronjob: CronJob, jobs: Sequence[Job]) -> set[str]:
        """The active Jobs that are no more. The API itself is asked: a new Job may not be in the cache yet."""
        seen = {job.uid for job in jobs}
        missing = set()
        for noted in cronjob.status.active:
            if noted.uid in seen:
                continue
            try:
                found = await self._context.client.get(JOBS, noted.name, namespace=cronjob.namespace)
            except ApiError as error:
                if error.code != 404:
                    raise
                missing.add(noted.uid)
            else:
                if found.uid != noted.uid:
                    missing.add(noted.uid)
        return missing

    async def _carry_out(self, cronjob: CronJob, decided: Plan) -> CronJobStatus:
        """Start the Job that is due; the status with it."""
        if decided.start is None:
            return decided.status
        status = decided.status
        for noted in decided.replace:
            await self._delete(cronjob, noted)
            status = status.model_copy(update={"active": [one for one in status.active if one.uid != noted.uid]})
        body = job_of(cronjob, decided.start, zone=decided.zone)
        try:
            made = await create_once(self._context.client, JOBS, body, owner=cronjob)
        except ApiError as error:
            if error.namespace_goes:
                return status
            self._say(cronjob, "FailedCreate", f"Error creating job: {error}", type="Warning")
            if error.code != 409:
                raise
            return status  # another has the name; the next start has one of its own
        self._ledger.wrote(cronjob.key, made)
        self._say(cronjob, "SuccessfulCreate", f"Created job {made.name}")
        changed = self._changed.get(cronjob.key)
        if changed is not None and changed <= decided.start:
            del self._changed[cronjob.key]
        active = status.active if made.finished is not None else [*status.active, reference(made)]
        return status.model_copy(update={"active": active, "last_schedule_time": decided.start})

    async def _delete(self, cronjob: CronJob, noted: ObjectReference) -> None:
        """Delete a Job, and its pods after it."""
        try:
            await self._context.client.delete(
                JOBS, noted.name, namespace=cronjob.namespace, uid=noted.uid, propagation="Background"
            )
        except ApiError as error:
            if error.code not in (404, 409):
                self._say(cronjob, "FailedDelete", f"Deleted job: {error}", type="Warning")
                raise
            return
        gone = Job.model_validate({"metadata": {"name": noted.name, "namespace": cronjob.namespace, "uid": noted.uid}})
        self._ledger.deleted(cronjob.key, gone)
        self._say(cronjob, "SuccessfulDelete", f"Deleted job {noted.name}")

    async def _write_status(self, cronjob: CronJob, status: CronJobStatus) -> None:
        """Against the revision that was read: another manager's note of a start must not be lost."""
        if status == cronjob.status:
            return
        wire: dict[str, Any] = {
            "active": None,
            "lastScheduleTime": None,
            "lastSuccessfulTime": None,
            **status.to_wire(),
        }
        wire["active"] = wire["active"] or None
        body = {
            "metadata": {"uid": cronjob.uid, "resourceVersion": cronjob.metadata.resource_version},
            "status": wire,
        }
        written = await self._context.client.patch(
            CRON_JOBS, cronjob.name, body, namespace=cronjob.namespace, subresource="status"
        )
        await self._cronjobs.wait_for_revision(cronjob.key, written.metadata.resource_version)


def _rhythm(cronjob: CronJob) -> tuple[str, str | None]:
    return cronjob.spec.schedule, cronjob.spec.time_zone
