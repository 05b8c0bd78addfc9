"""The workers of a node's pods: maps what the API and the runtime show to the worker that must look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from k8slite.kinds.base import ObjectMeta
from k8slite.kinds.core import Pod, PodSpec

from .pod_worker import PodWorker
from .runtime.base import PodState


class Workers:
    """Workers by pod UID. `make` gets the pod and a callback for when nothing of it is left."""

    def __init__(self, make: Callable[[Pod, Callable[[str], None]], PodWorker]) -> None:
        self._make = make
        self._workers: dict[str, PodWorker] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def handle(self, old: Pod | None, new: Pod | None) -> None:
        """An informer's handler."""
        if new is not None:
            worker = self._workers.get(new.uid)
            if worker is None:
                self._start(new).wake()
            else:
                worker.update(new)
        elif old is not None and (worker := self._workers.get(old.uid)) is not None:
            worker.vanish(old)

    def adopt_orphan(self, state: PodState) -> None:
        """Containers run whose pod the API does not know: end them."""
        if state.pod.uid in self._workers:
            return
        grace = min((s.grace_period for s in state.sandboxes), default=0)
        pod = Pod(
            api_version="v1",
            kind="Pod",
            metadata=ObjectMeta(uid=state.pod.uid, name=state.pod.name, namespace=state.pod.namespace),
            spec=PodSpec(termination_grace_period_seconds=grace),
        )
        self._start(pod).vanish(pod)

    def _start(self, pod: Pod) -> PodWorker:
        worker = self._make(pod, self._remove)
        self._workers[pod.uid] = worker
        return worker

    def _remove(self, uid: str) -> None:
        worker = self._workers.pop(uid, None)
        if worker is not None:
            task = asyncio.ensure_future(worker.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def wake(self, uid: str) -> None:
        """Something of this pod may have changed."""
        if (worker := self._workers.get(uid)) is not None:
            worker.wake()

    def wake_all(self) -> None:
        """Anything may have changed."""
        for worker in self._workers.values():
            worker.wake()

    def __contains__(self, uid: str) -> bool:
        return uid in self._workers

    def pods(self) -> Iterable[Pod]:
        """The pods as last seen."""
        return [worker.pod for worker in self._workers.values()]

    def find(self, namespace: str, name: str) -> Pod | None:
        """The pod of that name; one that the API still shows is preferred."""
        found = [pod for pod in self.pods() if (pod.namespace, pod.name) == (namespace, name)]
        return min(found, key=lambda pod: pod.deleting, default=None)

    async def close(self) -> None:
        """Stop every worker; containers run on."""
        workers = list(self._workers.values())
        self._workers.clear()
        await asyncio.gather(*(worker.close() for worker in workers), *self._closing)
