"""Sets up every volume of a pod, keeps it current, and takes it down.

Layout under the kubelet's state directory: `pods/<uid>/volumes/<name>`, and what containers see of parts of them in
`pods/<uid>/sub-paths/<container>/<number of the mount>`; `local-volumes/<volume>` for what outlives pods, and
`pods/<uid>/claimed/<volume>` tells who has it. What is there after a kubelet restart is used as it is: contents
are compared, not rewritten.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from pathlib import Path

import aiohttp

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.kinds.core import Pod, Volume

from ..env import Surroundings
from . import (
    atomic_writer,
    config_map,
    downward_api,
    empty_dir,
    host_path,
    mounts,
    ownership,
    projected,
    secret,
    sub_path,
    trees,
)
from .base import Payload, VolumeFault, make_directory
from .claim import Claims, Found, claim_of
from .tokens import Tokens

__all__ = ["VolumeFault", "VolumeManager"]


class VolumeManager:
    """The volumes of one node's pods."""

    def __init__(self, client: Client, *, clock: Clock, directory: Path, node: str = "") -> None:
        self._directory = directory
        self._claims = Claims(client, node=node, directory=self.local_volumes)
        self._claimed: dict[tuple[str, str], Found] = {}
        self._alone: dict[str, str] = {}
        """Volumes that one pod at a time may have, by name, with the UID of the one that has it."""
        self._tokens = Tokens(client, clock=clock)
        self._written: dict[tuple[str, str], Payload] = {}

    @property
    def local_volumes(self) -> Path:
        """Where volumes stand that are made on this node: they outlive pods."""
        return self._directory / "local-volumes"

    def used(self, volume: str) -> bool:
        """Whether a pod that is not cleaned up yet has a PersistentVolume of that name.

        It stands among the pods' files, as containers outlive the kubelet, and may outlive what the API knew of them.
        """
        return any(self._mark(uid, volume).exists() for uid in self.known_pods())

    def _mark(self, pod_uid: str, volume: str) -> Path:
        return self.pod_directory(pod_uid) / "claimed" / volume

    def pod_directory(self, uid: str) -> Path:
        """Where everything of a pod stands, if it has anything."""
        return self._directory / "pods" / uid

    def make_pod_directory(self, uid: str) -> Path:
        """The same, made if it is missing; only the kubelet's user may enter."""
        path = self.pod_directory(uid)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    async def ensure(self, pod: Pod, surroundings: Surroundings) -> dict[str, str]:
        """Host paths by volume name, every content as it should be now. Raises VolumeFault naming the volume."""
        found: dict[str, str] = {}
        for volume in pod.spec.volumes:
            try:
                found[volume.name] = str(await self._setup(pod, volume, surroundings))
            except VolumeFault as fault:
                raise VolumeFault(f'MountVolume.SetUp failed for volume "{volume.name}" : {fault}') from fault
            except (OSError, aiohttp.ClientError) as error:
                raise VolumeFault(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error
        return found

    async def _setup(self, pod: Pod, volume: Volume, surroundings: Surroundings) -> Path:
        if volume.host_path is not None:
            return await asyncio.to_thread(host_path.setup, volume.host_path)  # its server may not answer
        context = pod.spec.security_context
        group = context.fs_group if context is not None else None
        if claim_of(pod, volume):
            return await self._claim(pod, volume)
        path = self.make_pod_directory(pod.uid) / "volumes" / volume.name
        if volume.empty_dir is not None:
            empty_dir.setup(volume.empty_dir, path, group=group)
            return path
        payload = await self._payload(pod, volume, surroundings)
        make_directory(path)
        if self._written.get((pod.uid, volume.name)) != payload or not (path / "..data").exists():
            if _is_secret(volume) and not path.is_mount():
                with contextlib.suppress(VolumeFault):  # without the right to mount, the private directory serves
                    mounts.tmpfs(path)
            await asyncio.get_running_loop().run_in_executor(
                None, lambda: atomic_writer.write(path, payload, group=group)
            )
            self._written[pod.uid, volume.name] = payload
        return path

    async def _claim(self, pod: Pod, volume: Volume) -> Path:
        known = self._claimed.get((pod.uid, volume.name))
        if known is not None:
            self._take(pod, known)
            return known.path
        found = await self._claims.find(pod, volume)
        self._take(pod, found)
        self.make_pod_directory(pod.uid)
        self._mark(pod.uid, found.name).mkdir(parents=True, exist_ok=True)
        context, source = pod.spec.security_context, volume.persistent_volume_claim
        writes = source is None or not source.read_only
        if found.owned and writes and context is not None and (group := context.fs_group) is not None:
            await asyncio.to_thread(ownership.give, found.path, group=group, policy=context.fs_group_change_policy)
        self._claimed[pod.uid, volume.name] = found
        return found.path

    def _take(self, pod: Pod, found: Found) -> None:
        if found.alone and self._alone.setdefault(found.name, pod.uid) != pod.uid:
            raise VolumeFault("volume uses the ReadWriteOncePod access mode and is already in use by another pod")

    def let_go(self, pod_uid: str) -> None:
        """Nothing of the pod runs: others may have what it had alone."""
        for name in [name for name, uid in self._alone.items() if uid == pod_uid]:
            del self._alone[name]

    async def _payload(self, pod: Pod, volume: Volume, surroundings: Surroundings) -> Payload:
        if (source := volume.config_map) is not None:
            return config_map.payload(source, surroundings.config_maps.get(source.name))
        if (wanted := volume.secret) is not None:
            return secret.payload(
                wanted.secret_name,
                surroundings.secrets.get(wanted.secret_name),
                items=wanted.items,
                optional=wanted.optional,
                default_mode=wanted.default_mode,
            )
        if (fields := volume.downward_api) is not None:
            return downward_api.payload(
                fields.items, pod=pod, surroundings=surroundings, default_mode=fields.default_mode
            )
        if volume.projected is not None:
            keys = [
                projected.token_key(part.service_account_token)
                for part in volume.projected.sources
                if part.service_account_token is not None
            ]
            tokens = {key: await self._tokens.get(pod, key) for key in keys}
            return projected.payload(volume.projected, pod=pod, surroundings=surroundings, tokens=tokens)
        raise VolumeFault("this type of volume is not supported")

    def renewal(self, pod_uid: str) -> datetime | None:
        """When the pod's volumes want refreshing though no object changed."""
        return self._tokens.renewal(pod_uid)

    def sub_path(self, pod_uid: str, container: str, index: int, *, root: str, sub: str) -> str:
        """The path to mount for a container's mount number `index` of a part of a volume. Raises VolumeFault."""
        at = self.pod_directory(pod_uid) / "sub-paths" / container / str(index)
        sub_path.publish(root, sub, at=at)
        return str(at)

    async def tear_down(self, pod_uid: str) -> None:
        """Remove everything of a pod: mounts first, so that nothing behind one is deleted. Raises VolumeFault."""
        root = self._directory / "pods" / pod_uid
        self.let_go(pod_uid)
        self._tokens.forget(pod_uid)
        for key in [key for key in self._written if key[0] == pod_uid]:
            del self._written[key]
        await asyncio.to_thread(trees.remove, root)
        for key in [key for key in self._claimed if key[0] == pod_uid]:
            del self._claimed[key]

    def known_pods(self) -> set[str]:
        """The UIDs of pods that have left something here."""
        pods = self._directory / "pods"
        return {entry.name for entry in pods.iterdir()} if pods.exists() else set()


def _is_secret(volume: Volume) -> bool:
    return volume.secret is not None or volume.projected is not None
