"""The ConfigMaps and Secrets that this node's pods name, each watched by name for as long as a pod names it.

A kubelet may read no others; so there is one small informer per object, shared by the pods that use it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.informer import Informer
from k8slite.kinds.core import ConfigMap, Container, Pod, Secret
from k8slite.kinds.resources import CONFIG_MAPS, SECRETS

_PATIENCE = 10.0


class NotSynced(Exception):
    """The API server has not answered in time; the text names the objects."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One object that a pod needs."""

    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class _Watched:
    informer: Informer[ConfigMap] | Informer[Secret]
    task: asyncio.Task[None]
    users: set[str] = field(default_factory=set)


def references(pod: Pod) -> frozenset[Reference]:
    """Every ConfigMap and Secret that a pod names."""

    def names() -> Iterator[tuple[str, str]]:
        for secret in pod.spec.image_pull_secrets:
            yield "Secret", secret.name
        for container in pod.spec.every_container:
            yield from _of_container(container)
        for volume in pod.spec.volumes:
            if volume.config_map is not None:
                yield "ConfigMap", volume.config_map.name
            if volume.secret is not None:
                yield "Secret", volume.secret.secret_name
            for part in volume.projected.sources if volume.projected is not None else ():
                if part.config_map is not None:
                    yield "ConfigMap", part.config_map.name
                if part.secret is not None:
                    yield "Secret", part.secret.name

    return frozenset(Reference(kind, pod.namespace, name) for kind, name in names() if name)


def _of_container(container: Container) -> Iterator[tuple[str, str]]:
    for source in container.env_from:
        if source.config_map_ref is not None:
            yield "ConfigMap", source.config_map_ref.name
        if source.secret_ref is not None:
            yield "Secret", source.secret_ref.name
    for variable in container.env:
        if variable.value_from is not None:
            if variable.value_from.config_map_key_ref is not None:
                yield "ConfigMap", variable.value_from.config_map_key_ref.name
            if variable.value_from.secret_key_ref is not None:
                yield "Secret", variable.value_from.secret_key_ref.name


class ObjectWatcher:
    """Informers by reference, counted by pod. `changed` is called with the UID of each pod that names what changed."""

    def __init__(self, client: Client, *, clock: Clock, changed: Callable[[str], None]) -> None:
        self._client = client
        self._clock = clock
        self._changed = changed
        self._watched: dict[Reference, _Watched] = {}

    async def read(self, pod: Pod) -> tuple[dict[str, ConfigMap], dict[str, Secret]]:
        """What the pod names and what exists of it, by name; begins to watch what is new. Raises NotSynced."""
        wanted = references(pod)
        for reference in wanted:
            self._watch(reference).users.add(pod.uid)
        try:
            async with asyncio.timeout(_PATIENCE):
                for reference in wanted:
                    await self._watched[reference].informer.wait_synced()
        except TimeoutError:
            missing = [r for r in wanted if r in self._watched and not self._watched[r].informer.synced]
            words = ", ".join(sorted(f"{r.kind.lower()} {r.namespace}/{r.name}" for r in missing))
            raise NotSynced(f"failed to sync {words} in time") from None
        config_maps: dict[str, ConfigMap] = {}
        secrets: dict[str, Secret] = {}
        for reference in wanted:
            found = self._watched[reference].informer.get(f"{reference.namespace}/{reference.name}")
            if isinstance(found, ConfigMap):
                config_maps[reference.name] = found
            elif isinstance(found, Secret):
                secrets[reference.name] = found
        return config_maps, secrets

    def _watch(self, reference: Reference) -> _Watched:
        known = self._watched.get(reference)
        if known is not None:
            return known
        selector = f"metadata.name={reference.name}"
        informer: Informer[ConfigMap] | Informer[Secret]
        if reference.kind == "ConfigMap":
            informer = Informer(
                self._client, CONFIG_MAPS, clock=self._clock, namespace=reference.namespace, field_selector=selector
            )
        else:
            informer = Informer(
                self._client, SECRETS, clock=self._clock, namespace=reference.namespace, field_selector=selector
            )
        watched = _Watched(informer, asyncio.ensure_future(informer.run()))
        informer.add_handler(lambda old, new: self._tell(watched))
        self._watched[reference] = watched
        return watched

    def _tell(self, watched: _Watched) -> None:
        if watched.informer.synced:
            for uid in watched.users:
                self._changed(uid)

    def release(self, pod_uid: str) -> None:
        """The pod is gone: stop watching what only it named."""
        for reference, watched in list(self._watched.items()):
            watched.users.discard(pod_uid)
            if not watched.users:
                watched.task.cancel()
                del self._watched[reference]

    async def close(self) -> None:
        """Stop every watch."""
        tasks = [watched.task for watched in self._watched.values()]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
