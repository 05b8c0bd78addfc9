"""Keeps the pods of Jobs, and counts them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import aiohttp

from k8slite import ownership, selectors
from k8slite.client import Patch
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.batch import Job, JobStatus
from k8slite.kinds.resources import JOBS

from .. import claiming
from ..children import BehindError, Ledger, all_of, batches
from ..context import Context, Runnable, by_controller
from ..pods import PODS, Pod
from . import terms
from .orphans import Orphans
from .plan import plan
from .staffing import NewPod
from .template import name_prefix, pod_of

REST = 0.1
"""Seconds between two looks at one Job: pods that end meanwhile are counted by one status."""
CATCH_UP = 1.0
"""Seconds for which the cache of pods may lag behind a status of somebody else's before the API is asked."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller, and the one that frees pods that have lost their Job."""
    return [JobSync(context).controller, Orphans(context).controller]


class JobSync:
    """Syncs Jobs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._say = partial(context.say, "job-controller")
        self._jobs = context.informers.of(JOBS)
        self._pods = context.informers.of(PODS, controller=by_controller)
        self._ledger = Ledger(self._pods)
        self._own: dict[str, tuple[str, JobStatus]] = {}
        """By key, a Job's UID and the status that this process wrote or has made sure of."""
        self.controller = Controller("job", self.sync, clock=context.clock, workers=context.config.workers, rest=REST)
        self._jobs.add_handler(self._job_changed)
        self._pods.add_handler(claiming.waking(self.controller.queue, kind=JOBS.kind, takers=self._enqueue_takers))

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        if item := new or old:
            self.controller.queue.add(item.key)

    def _enqueue_takers(self, orphan: Pod) -> None:
        """The Jobs that may want the pod. Most select by their own UID, so that few are looked at closely."""
        labels = orphan.metadata.labels
        if orphan.deleting or not labels:
            return
        for job in self._jobs.list(orphan.namespace):
            own = job.spec.selector.match_labels.get("batch.kubernetes.io/controller-uid")
            if (own is None or own in labels.values()) and _selector(job).matches(labels):
                self.controller.queue.add(job.key)

    async def sync(self, key: str) -> Result:
        """One Job."""
        job = self._jobs.get(key)
        if job is None or terms.managed_elsewhere(job):
            self._forget(key)
            return DONE
        if job.spec.completion_mode not in ("NonIndexed", "Indexed"):
            message = "Skipped Job sync because completion mode is unknown"
            self._say(job, "UnknownCompletionMode", message, type="Warning")
            return DONE
        deleted = await self._ledger.settle(key)
        pods = await self._claim(job)
        if job.finished is None:
            await self._make_sure(job, pods)
        decided = plan(job=job, pods=pods, now=self._context.clock.now(), deleted=deleted)
        made, failure = await self._create(job, decided.create)
        status = decided.status.model_copy(update={"active": decided.status.active + made}) if made else decided.status
        await self._write_status(job, status)
        for saying in decided.says:
            self._say(job, saying.reason, saying.message, type=saying.type)
        await all_of(self._untrack(job, pod) for pod in decided.untrack)
        await all_of(self._remove(job, pod) for pod in decided.remove)
        await all_of(self._delete(job, pod) for pod in decided.delete)
        if failure is not None:
            raise failure
        if job.finished is not None:
            self._forget(key)
        return Result(decided.requeue_after)

    def _forget(self, key: str) -> None:
        self._ledger.forget(key)
        self._own.pop(key, None)
        self.controller.queue.drop(key)

    async def _claim(self, job: Job) -> list[Pod]:
        """The pods that are the Job's, with those that it takes over; those that left its selector go uncounted."""
        owned = self._pods.by_index("controller", job.uid)
        if job.finished is not None or not (selector := _selector(job)):
            return list(owned)
        orphans = self._pods.by_index("controller", f"orphans/{job.namespace}")
        claims = ownership.claim(job, [*owned, *orphans], selector=selector)
        pods = list(claims.owned)
        for pod in claims.release:
            body = ownership.release(pod, job)
            body["metadata"]["finalizers"] = [f for f in pod.metadata.finalizers if f != terms.FINALIZER] or None
            self._ledger.wrote(job.key, await self._patch(pod, body, patch=Patch.MERGE))
        if not claims.adopt:
            return pods
        fresh = await self._context.client.get(JOBS, job.name, namespace=job.namespace)
        if fresh.uid != job.uid or fresh.deleting:
            return pods
        for pod in claims.adopt:
            body = ownership.adoption(pod, job)
            body["metadata"]["finalizers"] = list(dict.fromkeys((*pod.metadata.finalizers, terms.FINALIZER)))
            adopted = await self._patch(pod, body, patch=Patch.MERGE)
            self._ledger.wrote(job.key, adopted)
            pods.append(adopted)
        return pods

    async def _make_sure(self, job: Job, pods: Sequence[Pod]) -> None:
        """A status that another process wrote may tell of pods that this cache shows as they were before.

        Whoever counted by both would count a pod twice. So the cache must have reached that status, or show what the
        API shows now. Raises BehindError if it does not.
        """
        uncounted = job.status.uncounted_terminated_pods
        if uncounted is None or self._own.get(job.key) == (job.uid, job.status):
            return
        if not await self._pods.wait_for_revision(job.key, job.metadata.resource_version, timeout=CATCH_UP):
            labels = ",".join(f"{key}={value}" for key, value in job.spec.selector.match_labels.items())
            listed = await self._context.client.list(PODS, namespace=job.namespace, label_selector=labels)
            living = {
                pod.uid
                for pod in listed.items
                if terms.tracked(pod) and (owner := pod.metadata.controller) is not None and owner.uid == job.uid
            }
            if living != {pod.uid for pod in pods if terms.tracked(pod)}:
                raise BehindError(f"pods are behind the status of {job.key}")
        self._own[job.key] = (job.uid, job.status)

    async def _create(self, job: Job, wanted: Sequence[NewPod]) -> tuple[int, Exception | None]:
        """How many were made, and why no more."""
        made = 0
        for group in batches(len(wanted)):
            before = made
            try:
                await all_of(self._create_one(job, wanted[place]) for place in group)
            except (ApiError, aiohttp.ClientError, OSError) as error:
                gone = isinstance(error, ApiError) and error.namespace_goes
                return before, None if gone else error
            made += len(group)
        return made, None

    async def _create_one(self, job: Job, new: NewPod) -> None:
        place = "" if new.index is None else str(new.index)
        body = partial(pod_of, job, new)
        try:
            pod = await self._ledger.create(self._context, job, body, prefix=name_prefix(job, new), place=place)
        except ApiError as error:
            if not error.namespace_goes:
                self._say(job, "FailedCreate", f"Error creating: {error}", type="Warning")
            raise
        self._say(job, "SuccessfulCreate", f"Created pod: {pod.name}")

    async def _write_status(self, job: Job, status: JobStatus) -> None:
        """Against the very revision that it was computed from: counting twice would be counting wrong."""
        if status == job.status:
            return
        wire: dict[str, Any] = status.to_wire()
        for field in ("startTime", "completionTime", "failedIndexes"):
            wire.setdefault(field, None)
        if not status.completed_indexes:
            wire["completedIndexes"] = None
        body = {"metadata": {"uid": job.uid, "resourceVersion": job.metadata.resource_version}, "status": wire}
        written = await self._context.client.patch(JOBS, job.name, body, namespace=job.namespace, subresource="status")
        self._own[job.key] = (job.uid, written.status)
        await self._jobs.wait_for_revision(job.key, written.metadata.resource_version)

    async def _untrack(self, job: Job, pod: Pod) -> None:
        if not terms.tracked(pod):
            return
        body = {"metadata": {"uid": pod.uid, "$deleteFromPrimitiveList/finalizers": [terms.FINALIZER]}}
        try:
            self._ledger.wrote(job.key, await self._patch(pod, body))
        except ApiError as error:
            if error.code != 404:
                raise

    async def _patch(self, pod: Pod, body: dict[str, Any], *, patch: Patch = Patch.STRATEGIC) -> Pod:
        return await self._context.client.patch(PODS, pod.name, body, namespace=pod.namespace, patch=patch)

    async def _remove(self, job: Job, pod: Pod) -> None:
        """Delete a pod that is to count as nothing."""
        await self._untrack(job, pod)
        await self._delete(job, pod)

    async def _delete(self, job: Job, pod: Pod) -> None:
        try:
            await self._context.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                self._say(job, "FailedDelete", f"Error deleting: {error}", type="Warning")
                raise
        else:
            self._say(job, "SuccessfulDelete", f"Deleted pod: {pod.name}")
        self._ledger.deleted(job.key, pod)


def _selector(job: Job) -> selectors.LabelSelector:
    return selectors.from_object(job.spec.selector.to_wire()) or selectors.EVERYTHING
