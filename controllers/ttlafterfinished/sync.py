"""Removes Jobs whose time to live after their end is over, with their pods."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.batch import Job
from k8slite.kinds.resources import JOBS

from ..context import Context, Runnable
from .plan import left

_SOON = 0.01


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [Cleanup(context).controller]


class Cleanup:
    """Syncs finished Jobs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs = context.informers.of(JOBS)
        self.controller = Controller(
            "ttl_jobs_to_delete", self.sync, clock=context.clock, workers=context.config.workers
        )
        self._jobs.add_handler(self._changed)

    def _changed(self, old: Job | None, new: Job | None) -> None:
        if new is None:
            if old is not None:
                self.controller.queue.drop(old.key)
        elif left(new, now=self._context.clock.now()) is not None:
            self.controller.queue.add(new.key)

    async def sync(self, key: str) -> Result:
        """One Job. Before it is deleted it is read anew: the cache may show a time to live that was prolonged."""
        job = self._jobs.get(key)
        if job is None or (wait := left(job, now=self._context.clock.now())) is None:
            return DONE
        if wait > 0:
            return Result(wait + _SOON)
        client = self._context.client
        try:
            fresh = await client.get(JOBS, job.name, namespace=job.namespace)
            wait = left(fresh, now=self._context.clock.now())
            if wait is None:
                return DONE
            if wait > 0:
                return Result(wait + _SOON)
            # Whoever changes the Job after this read has the last word.
            await client.delete(
                JOBS,
                fresh.name,
                namespace=fresh.namespace,
                uid=fresh.uid,
                resource_version=fresh.metadata.resource_version,
                propagation="Foreground",
            )
        except ApiError as error:
            if error.code != 404:
                raise
        return DONE
