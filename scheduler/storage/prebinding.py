"""Writing what was decided: volumes to claims, nodes on claims for which a volume is to be made; and waiting for it.

The controller of volumes completes what is written here. If it cannot, or finds otherwise, the pod is decided anew.

Source: Kubernetes documentation, "Persistent Volumes"; the VolumeBinding plugin for what is written, what ends the
waiting, and the words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.kinds.storage import BOUND_BY_CONTROLLER, SELECTED_NODE

from ..columns import Columns
from ..view import Pod
from .claims import not_found
from .matching import usable
from .objects import CLAIMS, VOLUMES, Claim, PersistentVolume
from .rows import VolumeRows
from .state import revision

#: Seconds between looks at what nobody tells: whether pod and node are still there.
LOOK = 5.0
TIMED_OUT = "context deadline exceeded"


@dataclass(slots=True)
class Reservation:
    """What was chosen for a pod on a node; `revisions` of claims and volumes written for it, by key."""

    node: str
    volumes: list[tuple[Claim, PersistentVolume]]
    claims: list[Claim]
    revisions: dict[str, int] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """The claims that it is about."""
        return [claim.key for claim, _ in self.volumes] + [claim.key for claim in self.claims]


class Failed(Exception):
    """The pod cannot be bound with what was chosen for it."""


class Prebinding:
    """Carries reservations out. `timeout` seconds are waited for the controller."""

    def __init__(self, client: Client, *, clock: Clock, rows: VolumeRows, columns: Columns, timeout: float) -> None:
        self._client = client
        self._clock = clock
        self._rows = rows
        self._storage = rows.storage
        self._columns = columns
        self._timeout = timeout

    async def carry_out(self, reservation: Reservation, pod: Pod) -> str:
        """Write and wait; return why the pod cannot be bound, or nothing. Raises ApiError, aiohttp.ClientError."""
        try:
            for claim, volume in reservation.volumes:
                self._check_place(reservation, pod)
                await self._give(volume, claim, reservation)
            for claim in reservation.claims:
                self._check_place(reservation, pod)
                await self._select(claim, reservation)
            await self._wait(reservation, pod)
        except Failed as failed:
            return f"binding volumes: {failed}"
        return ""

    async def _give(self, volume: PersistentVolume, claim: Claim, reservation: Reservation) -> None:
        self._claim(claim)
        if body := claim_patch(self._volume(volume, claim), claim):
            written = await self._client.patch(VOLUMES, volume.name, body)
            reservation.revisions[volume.key] = revision(written)
            self._storage.wrote(written)

    async def _select(self, claim: Claim, reservation: Reservation) -> None:
        found = self._claim(claim)
        if node := found.metadata.annotations.get(SELECTED_NODE):
            if node != reservation.node:
                raise Failed(f'selectedNode of pvc "{found.name}" was set to "{node}" meanwhile')
            return
        body = {
            "metadata": {
                "uid": claim.uid,
                "resourceVersion": found.metadata.resource_version,
                "annotations": {SELECTED_NODE: reservation.node},
            }
        }
        written = await self._client.patch(CLAIMS, found.name, body, namespace=found.namespace)
        reservation.revisions[found.key] = revision(written)
        self._storage.wrote(written)

    async def _wait(self, reservation: Reservation, pod: Pod) -> None:
        deadline = self._clock.monotonic() + self._timeout
        with self._listening(reservation.keys) as woken:
            while not self._complete(reservation, pod):
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise Failed(TIMED_OUT)
                await self._either(woken, min(left, LOOK))
                woken.clear()

    @contextmanager
    def _listening(self, keys: list[str]) -> Iterator[asyncio.Event]:
        woken = asyncio.Event()
        for key in keys:
            self._storage.waiting.setdefault(key, set()).add(woken)
        try:
            yield woken
        finally:
            for key in keys:
                self._storage.waiting[key].discard(woken)
                if not self._storage.waiting[key]:
                    del self._storage.waiting[key]

    async def _either(self, woken: asyncio.Event, seconds: float) -> None:
        tasks: list[asyncio.Task[Any]] = [
            asyncio.ensure_future(woken.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _complete(self, reservation: Reservation, pod: Pod) -> bool:
        """Whether every claim is bound, and to something that the node can use. Raises Failed if none ever will be."""
        self._check_place(reservation, pod)
        given = [self._is_given(volume, claim, reservation) for claim, volume in reservation.volumes]
        made = [self._is_made(claim, reservation) for claim in reservation.claims]
        return all(given) and all(made)

    def _is_given(self, volume: PersistentVolume, claim: Claim, reservation: Reservation) -> bool:
        found = self._volume(volume, claim)
        if revision(found) < reservation.revisions.get(found.key, 0):
            return False
        self._check(found, reservation.node)
        if found.spec.claim_ref is None or not found.spec.claim_ref.uid:
            raise Failed(f'ClaimRef got reset for pv "{volume.name}"')
        bound = self._claim(claim)
        if bound.bound and bound.spec.volume_name != volume.name:
            raise Failed(f'pvc "{claim.name}" was bound to pv "{bound.spec.volume_name}" meanwhile')
        return bound.bound

    def _is_made(self, claim: Claim, reservation: Reservation) -> bool:
        found = self._claim(claim)
        if revision(found) < reservation.revisions.get(found.key, 0):
            return False
        if found.metadata.annotations.get(SELECTED_NODE) != reservation.node:
            raise Failed(f'provisioning failed for PVC "{found.name}"')
        if not found.spec.volume_name:
            return False
        volume = self._storage.volumes.get(found.spec.volume_name)
        if volume is None:
            return False
        self._check(volume, reservation.node)
        return found.bound

    def _claim(self, claim: Claim) -> Claim:
        """The claim as it stands. Raises Failed if it is gone: another of its name is not meant."""
        found = self._storage.claims.get(claim.key)
        if found is None or found.uid != claim.uid:
            raise Failed(f"failed to check binding: {not_found(claim.name)}")
        return found

    def _volume(self, volume: PersistentVolume, claim: Claim) -> PersistentVolume:
        """The volume as it stands. Raises Failed if it is gone, or was given to another claim."""
        found = self._storage.volumes.get(volume.name)
        if found is None or found.uid != volume.uid:
            raise Failed(f'failed to check binding: persistentvolume "{volume.name}" not found')
        if found.spec.claim_ref is not None and not found.kept_for(claim):
            raise Failed(f'pv "{volume.name}" was given to pvc "{found.spec.claim_ref.key}" meanwhile')
        return found

    def _check_place(self, reservation: Reservation, pod: Pod) -> None:
        """Raises Failed if there is nobody left to write for."""
        node = reservation.node
        if not self._columns.has_node(node):
            raise Failed(f'failed to get node "{node}": node "{node}" not found')
        if self._columns.node_of(pod.uid) != node:
            raise Failed(f'pod does not exist any more: pod "{pod.name}" not found')

    def _check(self, volume: PersistentVolume, node: str) -> None:
        row = np.array([self._columns.rows[node]])
        if not usable(volume, rows=self._rows, columns=self._columns, at=row)[0]:
            raise Failed(
                f'pv "{volume.name}" node affinity doesn\'t match node "{node}": no matching NodeSelectorTerms'
            )


def claim_patch(volume: PersistentVolume, claim: Claim) -> dict[str, Any]:
    """The merge patch that gives this very state of a volume to a claim; empty if it is the claim's already."""
    kept = volume.kept_for(claim)
    reference = volume.spec.claim_ref
    if kept and reference is not None and reference.uid:
        return {}
    metadata: dict[str, Any] = {"uid": volume.uid, "resourceVersion": volume.metadata.resource_version}
    if not kept:
        metadata["annotations"] = {BOUND_BY_CONTROLLER: "yes"}
    claim_ref = {
        "kind": CLAIMS.kind,
        "apiVersion": CLAIMS.api_version,
        "namespace": claim.namespace,
        "name": claim.name,
        "uid": claim.uid,
        "resourceVersion": claim.metadata.resource_version,
    }
    return {"metadata": metadata, "spec": {"claimRef": claim_ref}}
