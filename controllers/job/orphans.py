"""Pods that have lost their Job: nobody will count them, so its finalizer must not hold them.

A Job is deleted with its pods left behind, a pod's owner is taken from it, or a Job's end was not seen by whoever
counted its pods. The queue holds pods, and looks at each when it comes or its Job goes.

Source: Kubernetes documentation, "Jobs": job tracking with finalizers.
"""

from __future__ import annotations

from k8slite.client import Patch
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.base import OwnerReference
from k8slite.kinds.batch import Job
from k8slite.kinds.resources import JOBS

from ..context import Context, by_controller
from ..pods import PODS, Pod
from . import terms


class Orphans:
    """Frees pods from the finalizer of a Job that is no more."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs = context.informers.of(JOBS)
        self._pods = context.informers.of(PODS, controller=by_controller)
        self.controller = Controller("job_orphan_pod", self.sync, clock=context.clock, workers=context.config.workers)
        self._jobs.add_handler(self._job_changed)
        self._pods.add_handler(self._pod_changed)

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        if old is not None and (new is None or new.uid != old.uid):
            for pod in self._pods.by_index("controller", old.uid):
                self._look_at(pod)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None:
            self._look_at(new)

    def _look_at(self, pod: Pod) -> None:
        if terms.tracked(pod) and self._lost(pod):
            self.controller.queue.add(pod.key)

    def _lost(self, pod: Pod) -> bool:
        """Whether the pod has no Job, by the cache."""
        owner = pod.metadata.controller
        if owner is None:
            return True
        if owner.kind != "Job" or not owner.api_version.startswith("batch/"):
            return False
        job = self._jobs.get(f"{pod.namespace}/{owner.name}")
        return job is None or job.uid != owner.uid

    async def sync(self, key: str) -> Result:
        """One pod."""
        pod = self._pods.get(key)
        if pod is None or not terms.tracked(pod) or not self._lost(pod):
            return DONE
        owner = pod.metadata.controller
        if owner is not None and await self._lives(pod, owner):
            return DONE  # the cache of Jobs is behind; the Job's own sync has the pod
        body = {
            "metadata": {
                "uid": pod.uid,
                # Whoever adopts the pod meanwhile wants the finalizer.
                "resourceVersion": pod.metadata.resource_version,
                "$deleteFromPrimitiveList/finalizers": [terms.FINALIZER],
            }
        }
        try:
            await self._context.client.patch(PODS, pod.name, body, namespace=pod.namespace, patch=Patch.STRATEGIC)
        except ApiError as error:
            if error.code != 404:
                raise
        return DONE

    async def _lives(self, pod: Pod, owner: OwnerReference) -> bool:
        """The API itself is asked: a cache that does not show a Job yet would have a live one's pods go uncounted."""
        try:
            found = await self._context.client.get(JOBS, owner.name, namespace=pod.namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            return False
        return found.uid == owner.uid
