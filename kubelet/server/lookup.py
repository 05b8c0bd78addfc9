"""From the names in a request to a container of the runtime."""

from __future__ import annotations

from aiohttp import web

from k8slite.kinds.core import Pod

from ..runtime.base import Container, ContainerRuntime, State
from ..workers import Workers


class LookupFault(Exception):
    """The request names what is not there; `status` is the HTTP answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Containers:
    """Finds containers by pod and name."""

    def __init__(self, workers: Workers, runtime: ContainerRuntime) -> None:
        self._workers, self._runtime = workers, runtime

    def pod(self, request: web.Request) -> Pod:
        """The pod that the path names. Raises LookupFault."""
        match = request.match_info
        pod = self._workers.find(match["namespace"], match["pod"])
        if pod is None:
            raise LookupFault(404, f'pod "{match["pod"]}" not found')
        return pod

    async def process(self, pod: Pod) -> int:
        """The process whose network namespace is the pod's. Raises LookupFault."""
        state = (await self._runtime.list(pod_uid=pod.uid)).get(pod.uid)
        if state is None or state.sandbox is None:
            raise LookupFault(400, f'pod "{pod.name}" is not running')
        return state.sandbox.pid

    def _container(self, request: web.Request) -> tuple[Pod, str]:
        pod, name = self.pod(request), request.match_info["container"]
        if name not in {c.name for c in pod.spec.every_container}:
            raise LookupFault(404, f'container "{name}" not found in pod "{pod.name}"')
        return pod, name

    async def find(self, request: web.Request, *, previous: bool = False) -> Container:
        """The container, running or not. Raises LookupFault."""
        pod, name = self._container(request)
        state = (await self._runtime.list(pod_uid=pod.uid)).get(pod.uid)
        known = pod.status
        statuses = (*known.init_container_statuses, *known.container_statuses, *known.ephemeral_container_statuses)
        waiting = next((s.state.waiting for s in statuses if s.name == name and s.state.waiting), None)
        found = state.newest(name) if state is not None else None
        # What waits for its restart counts as the previous one already, as `kubectl describe` shows it.
        if state is not None and previous and not (found and found.state is State.EXITED and waiting):
            found = state.previous(name)
        if found is None and previous:
            raise LookupFault(400, f'previous terminated container "{name}" in pod "{pod.name}" not found')
        if found is None or (found.state is State.CREATED and not previous):
            reason = waiting.reason if waiting is not None else "ContainerCreating"
            wanted = "trying and failing to pull image" if "Image" in reason else f"waiting to start: {reason}"
            raise LookupFault(400, f'container "{name}" in pod "{pod.name}" is {wanted}')
        return found

    async def running(self, request: web.Request) -> Container:
        """A container that runs. Raises LookupFault."""
        found = await self.find(request)
        if found.state is not State.RUNNING:
            raise LookupFault(400, f"container {found.name} is not running")
        return found
