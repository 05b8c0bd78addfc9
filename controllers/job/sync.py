"""Keeps the pods of Jobs, counts them, and removes Jobs that have been over for long enough."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

from k8slite import ownership, selectors
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.batch import Job, JobStatus
from k8slite.kinds.resources import JOBS

from ..children import Ledger, all_of
from ..context import Context, Runnable, by_controller
from ..pods import PODS, Pod
from . import indexes
from .counting import FINALIZER
from .plan import COMPLETE, Plan, plan


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [JobSync(context).controller]


class JobSync:
    """Syncs Jobs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._say = partial(context.say, "job-controller")
        self._jobs = context.informers.of(JOBS)
        self._pods = context.informers.of(PODS, controller=by_controller)
        self._ledger = Ledger(self._pods)
        self.controller = Controller("job", self.sync, clock=context.clock, workers=context.config.workers)
        self._jobs.add_handler(self._job_changed)
        self._pods.add_handler(self._pod_changed)

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        if item := new or old:
            self.controller.queue.add(item.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for pod in (old, new):
            owner = pod.metadata.controller if pod is not None else None
            if pod is not None and owner is not None and owner.kind == "Job":
                self.controller.queue.add(f"{pod.namespace}/{owner.name}")

    async def sync(self, key: str) -> Result:
        """One Job."""
        job = self._jobs.get(key)
        if job is None:
            self._ledger.forget(key)
            await self._free_orphans(key)
            return DONE
        deleted = await self._ledger.settle(key)
        pods = await self._claim(job)
        decided = plan(job=job, pods=pods, now=self._context.clock.now(), deleted=deleted)
        if decided.expired:
            await self._context.client.delete(
                JOBS, job.name, namespace=job.namespace, uid=job.uid, propagation="Foreground"
            )
            return DONE
        await self._write_status(job, decided.status)
        await all_of(self._untrack(pod) for pod in decided.untrack)
        await self._carry_out(job, decided)
        return Result(decided.requeue_after)

    async def _claim(self, job: Job) -> list[Pod]:
        """A Job's selector is its own UID as a rule, so there is little to adopt; pods of its template are its own."""
        selector = selectors.from_object(job.spec.selector.to_wire()) or selectors.EVERYTHING
        owned = self._pods.by_index("controller", job.uid)
        if not selector:
            return list(owned)
        claims = ownership.claim(job, owned, selector=selector)
        for pod in claims.release:
            await self._context.client.patch(PODS, pod.name, ownership.release(pod, job), namespace=job.namespace)
        return list(claims.owned)

    async def _free_orphans(self, key: str) -> None:
        """Pods that outlive their Job must not be held by its finalizer.

        The API itself is asked: a cache that does not show a Job yet would have the pods of a live one go uncounted.
        """
        namespace, _, name = key.partition("/")
        orphans = [
            (pod, owner.uid)
            for pod in self._pods.list(namespace)
            if FINALIZER in pod.metadata.finalizers
            and (owner := pod.metadata.controller) is not None
            and (owner.kind, owner.name) == ("Job", name)
        ]
        if not orphans:
            return
        try:
            living = (await self._context.client.get(JOBS, name, namespace=namespace)).uid
        except ApiError as error:
            if error.code != 404:
                raise
            living = ""
        await all_of(self._untrack(pod) for pod, owner_uid in orphans if owner_uid != living)

    async def _untrack(self, pod: Pod) -> None:
        if FINALIZER not in pod.metadata.finalizers:
            return
        left = [name for name in pod.metadata.finalizers if name != FINALIZER]
        body = {
            "metadata": {
                "uid": pod.uid,
                "resourceVersion": pod.metadata.resource_version,
                "finalizers": left or None,
            }
        }
        try:
            await self._context.client.patch(PODS, pod.name, body, namespace=pod.namespace)
        except ApiError as error:
            if error.code != 404:
                raise

    async def _carry_out(self, job: Job, decided: Plan) -> None:
        await all_of(self._delete(job, pod) for pod in decided.delete)
        await all_of(self._create(job, index) for index in decided.create)
        over = decided.finished
        if over is not None and over.type == COMPLETE:
            self._say(job, "Completed", "Job completed")
        elif over is not None:
            self._say(job, over.reason, over.message, type="Warning")

    async def _create(self, job: Job, index: int | None) -> None:
        prefix = job.name if index is None else f"{job.name}-{index}"
        try:
            pod = await self._ledger.create(self._context, job, partial(pod_of, job, index=index), prefix=prefix)
        except ApiError as error:
            if error.namespace_goes:
                return
            self._say(job, "FailedCreate", f"Error creating: {error}", type="Warning")
            raise
        self._say(job, "SuccessfulCreate", f"Created pod: {pod.name}")

    async def _delete(self, job: Job, pod: Pod) -> None:
        try:
            await self._context.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        self._ledger.deleted(job.key, pod)
        self._say(job, "SuccessfulDelete", f"Deleted pod: {pod.name}")

    async def _write_status(self, job: Job, status: JobStatus) -> None:
        """Against the very revision that it was computed from: counting twice would be counting wrong."""
        if status == job.status:
            return
        wire: dict[str, Any] = status.to_wire()
        for field in ("startTime", "completionTime"):
            wire.setdefault(field, None)
        if not status.completed_indexes:
            wire["completedIndexes"] = None
        body = {"metadata": {"uid": job.uid, "resourceVersion": job.metadata.resource_version}, "status": wire}
        written = await self._context.client.patch(JOBS, job.name, body, namespace=job.namespace, subresource="status")
        await self._jobs.wait_for_revision(job.key, written.metadata.resource_version)


def pod_of(job: Job, name: str, *, index: int | None) -> dict[str, Any]:
    """The pod that a Job makes: tracked by a finalizer, and told its index if it has one."""
    metadata = job.spec.template.document.get("metadata") or {}
    labels = dict(metadata.get("labels") or {})
    annotations = dict(metadata.get("annotations") or {})
    spec = job.spec.template.spec
    if index is not None:
        labels[indexes.INDEX] = annotations[indexes.INDEX] = str(index)
        spec = _indexed(spec, hostname=f"{job.name}-{index}")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{job.name}-" if index is None else f"{job.name}-{index}-",
            "namespace": job.namespace,
            "labels": labels,
            "annotations": annotations,
            "finalizers": [FINALIZER, *(metadata.get("finalizers") or ())],
            "ownerReferences": [ownership.controller_reference(job)],
        },
        "spec": spec,
    }


def _indexed(spec: dict[str, Any], *, hostname: str) -> dict[str, Any]:
    spec = copy.deepcopy(spec)
    spec["hostname"] = spec.get("hostname") or hostname
    variable = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{indexes.INDEX}']"}},
    }
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        if all(item["name"] != variable["name"] for item in container.get("env") or ()):
            container["env"] = [*(container.get("env") or ()), variable]
    return spec
