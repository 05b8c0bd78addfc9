"""A Node as its kubelet describes it: pure documents, and the reporter that keeps them current in the API.

A change is reported at once; without one the status is written every five minutes, and life is shown by the Lease.
Source: Kubernetes documentation, "Nodes", "Node Status".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp

from k8slite import KUBERNETES_VERSION, local_volumes
from k8slite.client import Client, Patch
from k8slite.clock import Clock, timestamp
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from .machine import Machine

log = logging.getLogger(__name__)

_FIRST_CHECK = 20.0
_UNCHANGED_PERIOD = 300.0
_RETRY_FIRST, _RETRY_MOST = 1.0, 10.0
_HEALTHY = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


@dataclass(frozen=True, slots=True)
class Description:
    """What is constant about a node."""

    name: str
    address: str
    port: int
    machine: Machine
    runtime_version: str
    max_pods: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    local_volumes: str = ""
    """The directory for volumes that are made on this node; empty if it takes none."""


def allocatable(description: Description) -> dict[str, str]:
    """What pods may use of the node."""
    machine = description.machine
    return {
        "cpu": str(machine.cpus),
        "memory": f"{machine.memory // 1024}Ki",
        "ephemeral-storage": str(machine.storage),
        "pods": str(description.max_pods),
        "hugepages-2Mi": "0",
        "hugepages-1Gi": "0",
    }


def registration(description: Description) -> dict[str, Any]:
    """The Node to create."""
    machine = description.machine
    labels = {
        "kubernetes.io/hostname": description.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": machine.architecture,
        **description.labels,
    }
    metadata: dict[str, Any] = {"name": description.name, "labels": labels}
    if description.local_volumes:
        metadata["annotations"] = {local_volumes.DIRECTORY: description.local_volumes}
    spec = {"taints": [dict(taint) for taint in description.taints]} if description.taints else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def status(description: Description, *, node: Node | None, problem: str, now: datetime) -> dict[str, Any]:
    """The status to patch in. `problem` is why the node is not ready, empty if it is."""
    machine = description.machine
    conditions = [_condition(node, kind, "False", reason, message, now) for kind, (reason, message) in _HEALTHY.items()]
    if problem:
        conditions.append(_condition(node, "Ready", "False", "KubeletNotReady", problem, now))
    else:
        conditions.append(_condition(node, "Ready", "True", "KubeletReady", "kubelet is posting ready status", now))
    resources = allocatable(description)
    return {
        "capacity": resources,
        "allocatable": resources,
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": description.address},
            {"type": "Hostname", "address": description.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": description.port}},
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.system_uuid,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": description.runtime_version,
            "kubeletVersion": KUBERNETES_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": machine.architecture,
        },
    }


def _condition(node: Node | None, kind: str, value: str, reason: str, message: str, now: datetime) -> dict[str, Any]:
    old = next((c for c in node.status.conditions if c.type == kind), None) if node is not None else None
    since = old.last_transition_time if old is not None and old.status == value else None
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": timestamp(now),
        "lastTransitionTime": timestamp(since or now),
    }


class NodeReporter:
    """Registers a node and keeps its status current."""

    def __init__(self, client: Client, description: Description, *, clock: Clock) -> None:
        self._client, self._description, self._clock = client, description, clock
        self._problem = "container runtime status check may not have completed yet"
        self._changed = asyncio.Event()
        self._changed.set()
        self.uid = ""
        """The Node's UID; another one after somebody deleted the Node and it was registered again."""

    async def register(self) -> Node:
        """Create the Node or take over the one that is there; tries until the API server answers."""
        delay = _RETRY_FIRST
        while True:
            try:
                node = await self._register()
            except (ApiError, aiohttp.ClientError, OSError) as error:
                log.warning("registering node %s: %s", self._description.name, error)
                await self._clock.sleep(delay)
                delay = min(delay * 2, _RETRY_MOST)
            else:
                self.uid = node.uid
                return node

    async def _register(self) -> Node:
        body = registration(self._description)
        try:
            return await self._client.create(NODES, body)
        except ApiError as error:
            if error.code != 409:
                raise
        ours = {"metadata": {key: value for key, value in body["metadata"].items() if key != "name"}}
        return await self._client.patch(NODES, self._description.name, ours, patch=Patch.MERGE)

    def set_problem(self, problem: str) -> None:
        """Why the node is not ready; empty if it is."""
        if problem != self._problem:
            self._problem = problem
            self._changed.set()

    def report_again(self) -> None:
        """Somebody else changed the status: write it anew."""
        self._changed.set()

    @property
    def problem(self) -> str:
        """Why the node is not ready; empty if it is."""
        return self._problem

    async def run(self, *, was_ready: bool = False) -> None:
        """Report until cancelled.

        A node that was Ready before its kubelet restarted stays so while the first check runs: its pods serve all the
        while, and a flicker would withdraw them from every Service.
        """
        if was_ready and self._problem:
            self._changed.clear()
            await self._changed_or(_FIRST_CHECK)
        node: Node | None = None
        delay = _RETRY_FIRST
        while True:
            self._changed.clear()
            try:
                node = node or await self._client.get(NODES, self._description.name)
                body = {"status": status(self._description, node=node, problem=self._problem, now=self._clock.now())}
                node = await self._client.patch(
                    NODES, self._description.name, body, subresource="status", patch=Patch.STRATEGIC
                )
            except (ApiError, aiohttp.ClientError, OSError) as error:
                log.warning("status of node %s: %s", self._description.name, error)
                if isinstance(error, ApiError) and error.code == 404:
                    await self.register()
                node = None
                await self._clock.sleep(delay)
                delay = min(delay * 2, _RETRY_MOST)
                continue
            delay = _RETRY_FIRST
            await self._changed_or(_UNCHANGED_PERIOD)
            node = None if self._changed.is_set() else node

    async def _changed_or(self, seconds: float) -> None:
        waits = {
            asyncio.ensure_future(self._changed.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
