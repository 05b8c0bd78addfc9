"""Termination messages: what a container left in its message file, or the end of its log.

Source: Kubernetes documentation, "Determine the Reason for Pod Failure".
"""

from __future__ import annotations

from pathlib import Path

from k8slite.kinds.core import Container as ContainerModel
from k8slite.kinds.core import Pod

from .runtime.base import Container, ContainerRuntime, LogOptions, PodState, RuntimeFault, State

_LIMIT = 4096
_LOG_LIMIT, _LOG_LINES = 2048, 80


def message_file(pod_directory: Path, *, container: str, attempt: int) -> Path:
    """The file on the node that a container sees at its terminationMessagePath."""
    return pod_directory / "containers" / container / str(attempt)


def make_message_file(pod_directory: Path, *, container: str, attempt: int) -> Path:
    """Make it, writable for whatever user the container runs as."""
    path = message_file(pod_directory, container=container, attempt=attempt)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.touch()
    path.chmod(0o666)
    return path


class TerminationMessages:
    """Reads each ended container's message once."""

    def __init__(self, runtime: ContainerRuntime) -> None:
        self._runtime = runtime
        self._read: dict[str, dict[str, str]] = {}
        """Messages by the UID of their pod and the id of their container."""

    async def of(self, pod: Pod, state: PodState, *, directory: Path) -> dict[str, str]:
        """Messages by container id."""
        models = {c.name: c for c in pod.spec.every_container}
        known, found = self._read.get(pod.uid, {}), dict[str, str]()
        for container in state.containers:
            if container.state is State.EXITED and container.name in models:
                message = known.get(container.id)
                if message is None:
                    message = await self._message(models[container.name], container, directory)
                found[container.id] = message
        self._read[pod.uid] = found
        return found

    async def _message(self, model: ContainerModel, container: Container, directory: Path) -> str:
        path = message_file(directory, container=container.name, attempt=container.attempt)
        try:
            with path.open("rb") as file:
                text = file.read(_LIMIT).decode(errors="replace")
        except OSError:
            text = ""
        if text or model.termination_message_policy != "FallbackToLogsOnError" or container.exit_code == 0:
            return text
        tail = b""
        try:
            async for output in self._runtime.logs(container.id, LogOptions(tail=_LOG_LINES)):
                tail += output.data
        except RuntimeFault:
            return ""
        return tail[-_LOG_LIMIT:].decode(errors="replace")

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        self._read.pop(pod_uid, None)
