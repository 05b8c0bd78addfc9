"""The data of volumes that were made on this node: removed with the volume that they belong to, and no earlier.

The volumes are found by their label, which is all that a kubelet may list. A directory is put aside under a name that
says so before it is removed: a kubelet that is killed meanwhile finds and finishes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from k8slite import local_volumes
from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.controller import DONE, Controller, Result, TryAgain
from k8slite.errors import ApiError
from k8slite.events import EventRecorder
from k8slite.informer import Informer
from k8slite.kinds.resources import PERSISTENT_VOLUMES
from k8slite.kinds.storage import PROVISIONED_BY, PersistentVolume

from . import trees
from .base import VolumeFault
from .claim import unfinished

log = logging.getLogger(__name__)

_IN_USE = 1.0
"""Seconds until a volume is looked at again that a pod uses still."""
_ASIDE = "removed-"


class LocalData:
    """Lets volumes go that are deleted. `used` tells of a volume by its name whether a pod has it."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        events: EventRecorder,
        node: str,
        directory: Path,
        used: Callable[[str], bool],
    ) -> None:
        self._client = client
        self._events = events
        self._node = node
        self._directory = directory
        self._used = used
        selector = f"{local_volumes.NODE}={node}"
        self._volumes: Informer[PersistentVolume] = Informer(
            client, PERSISTENT_VOLUMES, clock=clock, label_selector=selector
        )
        self._controller = Controller("local_data", self.sync, clock=clock, workers=2)
        self._volumes.add_handler(self._changed)

    async def run(self) -> None:
        """Run until cancelled."""
        await asyncio.to_thread(self._finish)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._volumes.run())
            group.create_task(self._controller.run())

    def _changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        if new is not None and to_remove(new):
            self._controller.queue.add(new.key)

    async def sync(self, key: str) -> Result:
        """One volume. What is removed does not come back: it is asked for once more where it is written."""
        volume = self._volumes.get(key)
        if volume is None or not to_remove(volume):
            return DONE
        try:
            volume = await self._client.get(PERSISTENT_VOLUMES, key)
        except ApiError as error:
            if error.code != 404:
                raise
            return DONE
        if not to_remove(volume) or local_volumes.keeper(volume.metadata.labels) != self._node:
            return DONE
        if self._used(volume.name):
            return Result(_IN_USE)
        path = self._directory / volume.name
        if volume.spec.local is None or Path(volume.spec.local.path) != path:
            self._complain(volume, f"its files are not at {path}, where this node keeps them: they are left alone")
            return DONE
        try:
            await asyncio.to_thread(self._remove, path)
        except (OSError, VolumeFault) as error:
            self._complain(volume, str(error))
            raise TryAgain(str(error)) from error
        left = [name for name in volume.metadata.finalizers if name != local_volumes.FINALIZER]
        metadata = {"uid": volume.uid, "resourceVersion": volume.metadata.resource_version, "finalizers": left}
        try:
            await self._client.patch(PERSISTENT_VOLUMES, volume.name, {"metadata": metadata})
        except ApiError as error:
            if error.code != 404:
                raise
        return DONE

    def _complain(self, volume: PersistentVolume, problem: str) -> None:
        log.warning("volume %s: %s", volume.name, problem)
        self._events.record(volume, reason="VolumeFailedDelete", message=problem, type="Warning")

    def _remove(self, path: Path) -> None:
        aside = path.with_name(f"{_ASIDE}{path.name}")
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            trees.remove(aside)
            path.rename(aside)
        trees.remove(aside)
        trees.remove(unfinished(path))

    def _finish(self) -> None:
        for aside in self._directory.glob(f"{_ASIDE}*") if self._directory.exists() else ():
            try:
                trees.remove(aside)
            except VolumeFault as fault:
                log.warning("%s", fault)


def to_remove(volume: PersistentVolume) -> bool:
    """Whether a volume is to go with its data, which wait for nothing but us."""
    return (
        volume.deleting
        and local_volumes.FINALIZER in volume.metadata.finalizers
        and volume.metadata.annotations.get(PROVISIONED_BY) == local_volumes.PROVISIONER
        and volume.spec.persistent_volume_reclaim_policy == "Delete"
        and volume.status.phase != "Bound"
        and local_volumes.is_volume_name(volume.name)
    )
