"""Images: whether one may be used, and the pulls under way with their back-off.

Source: Kubernetes documentation, "Images": pull policy and ImagePullBackOff.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k8slite.clock import Clock
from k8slite.events import EventRecorder
from k8slite.kinds.core import Container, Pod, Secret

from .plan import BACKOFF_FIRST, BACKOFF_MOST, Waiting
from .runtime.base import ContainerRuntime, Image, ImagePullFault, RuntimeFault, RuntimeUnavailable

_HUB = ("docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io")


@dataclass(slots=True)
class _Pull:
    """The last try for a reference."""

    task: asyncio.Task[None] | None = None
    message: str = ""
    told: bool = False
    delay: float = 0.0
    retry_at: float = 0.0


def registry_of(reference: str) -> str:
    """The registry's host that a reference names; Docker's own if it names none."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def credentials(reference: str, secrets: Sequence[Secret]) -> dict[str, str] | None:
    """The login that pull secrets (`dockerconfigjson` and `dockercfg`) hold for a reference's registry."""
    host = registry_of(reference)
    for secret in secrets:
        try:
            for key, login in _logins(secret).items():
                bare = key.removeprefix("https://").removeprefix("http://").split("/", 1)[0]
                if bare == host or (host in _HUB and (key in _HUB or bare in _HUB)):
                    return _login(login)
        except (ValueError, AttributeError):
            continue  # what cannot be read is no login; another secret may be
    return None


def _logins(secret: Secret) -> Mapping[str, Any]:
    whole, old = secret.data.get(".dockerconfigjson"), secret.data.get(".dockercfg")
    found: Any = json.loads(base64.b64decode(whole or old or "") or "{}")
    logins: Mapping[str, Any] = found.get("auths") or {} if whole else found
    return logins


def _login(login: Mapping[str, Any]) -> dict[str, str]:
    if login.get("auth"):
        user, _, password = base64.b64decode(login["auth"]).decode().partition(":")
        return {"username": user, "password": password}
    return {"username": login.get("username", ""), "password": login.get("password", "")}


class Images:
    """One node's images. A pull runs in the background; the pods that wait for it are woken at its end."""

    def __init__(self, runtime: ContainerRuntime, *, clock: Clock, events: EventRecorder) -> None:
        self._runtime = runtime
        self._clock = clock
        self._events = events
        self._pulls: dict[tuple[str, str], _Pull] = {}
        self._fresh: dict[tuple[str, str, int], Image] = {}

    async def ensure(
        self,
        container: Container,
        *,
        pod: Pod,
        attempt: int,
        secrets: Mapping[str, Secret],
        wake: Callable[[], None],
    ) -> Image | Waiting:
        """The image, or why the container has to wait for it. Raises RuntimeFault if the engine fails."""
        reference, policy = container.image, container.image_pull_policy
        path = pod.spec.field_path(container.name)
        pulled = self._fresh.pop((pod.uid, container.name, attempt), None)
        if pulled is not None:
            return pulled
        try:
            present = await self._runtime.image(reference)
        except RuntimeUnavailable:
            raise
        except RuntimeFault as fault:
            message = f'Failed to inspect image "{reference}": {fault}'
            self._warn(pod, "InspectFailed", message, path)
            return Waiting("InvalidImageName" if "invalid reference" in str(fault) else "ImageInspectError", message)
        if policy == "Always":
            present = None
        if present is not None:
            message = f'Container image "{reference}" already present on machine'
            self._events.record(pod, reason="Pulled", message=message, field_path=path)
            return present
        if policy == "Never":
            message = f'Container image "{reference}" is not present with pull policy of Never'
            self._warn(pod, "ErrImageNeverPull", message, path)
            self._warn(pod, "Failed", "Error: ErrImageNeverPull", path)
            return Waiting("ErrImageNeverPull", message)
        logins = [secrets[s.name] for s in pod.spec.image_pull_secrets if s.name in secrets]
        pull = self._pulls.setdefault((pod.uid, reference), _Pull())
        if pull.task is not None:
            # While an earlier failure is tried again, it remains what there is to say.
            return _backing_off(reference, pull) if pull.message else Waiting("ContainerCreating")
        if self._clock.monotonic() < pull.retry_at:
            return self._refused(pod, reference, pull, path)
        self._events.record(pod, reason="Pulling", message=f'Pulling image "{reference}"', field_path=path)
        key = (pod.uid, container.name, attempt)
        work = self._pull(reference, pull, pod=pod, path=path, key=key, login=credentials(reference, logins))
        pull.task = asyncio.ensure_future(work)
        pull.task.add_done_callback(lambda _: wake())
        return _backing_off(reference, pull) if pull.message else Waiting("ContainerCreating")

    def _refused(self, pod: Pod, reference: str, pull: _Pull, path: str) -> Waiting:
        """A failure is told as such once, then as a back-off until the next try."""
        if not pull.told:
            pull.told = True
            return Waiting("ErrImagePull", pull.message)
        self._events.record(pod, reason="BackOff", message=f'Back-off pulling image "{reference}"', field_path=path)
        self._warn(pod, "Failed", "Error: ImagePullBackOff", path)
        return _backing_off(reference, pull)

    def retry_in(self, pod_uid: str, references: Iterable[str]) -> float | None:
        """Seconds until `ensure` tries a failed pull of one of these images again."""
        now = self._clock.monotonic()
        pulls = [pull for reference in references if (pull := self._pulls.get((pod_uid, reference)))]
        return min((max(0.1, pull.retry_at - now) for pull in pulls if not pull.task and pull.message), default=None)

    async def _pull(
        self,
        reference: str,
        pull: _Pull,
        *,
        pod: Pod,
        path: str,
        key: tuple[str, str, int],
        login: Mapping[str, str] | None,
    ) -> None:
        began = self._clock.monotonic()
        try:
            image = await self._runtime.pull(reference, auth=login)
        except RuntimeFault as fault:
            pull.message, pull.told = str(fault), False
            pull.delay = min(pull.delay * 2, BACKOFF_MOST) if pull.delay else BACKOFF_FIRST
            pull.retry_at = self._clock.monotonic() + pull.delay
            kind = "pull" if isinstance(fault, ImagePullFault) else "reach"
            self._warn(pod, "Failed", f'Failed to {kind} image "{reference}": {fault}', path)
            self._warn(pod, "Failed", "Error: ErrImagePull", path)
        else:
            pull.message, pull.delay = "", 0.0
            took = self._clock.monotonic() - began
            message = f'Successfully pulled image "{reference}" in {took:.3f}s. Image size: {image.size} bytes.'
            self._events.record(pod, reason="Pulled", message=message, field_path=path)
            self._fresh[key] = image
        finally:
            pull.task = None

    def _warn(self, pod: Pod, reason: str, message: str, path: str) -> None:
        self._events.record(pod, reason=reason, message=message, type="Warning", field_path=path)

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        for pull_key in [key for key in self._pulls if key[0] == pod_uid]:
            task = self._pulls.pop(pull_key).task
            if task is not None:
                task.cancel()
        for fresh_key in [key for key in self._fresh if key[0] == pod_uid]:
            del self._fresh[fresh_key]


def _backing_off(reference: str, pull: _Pull) -> Waiting:
    return Waiting("ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {pull.message}')
