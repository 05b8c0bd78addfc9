"""The node's heartbeat: a Lease in kube-node-lease, renewed every quarter of its duration.

Source: Kubernetes documentation, "Leases", "Node heartbeats".
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import aiohttp

from k8slite.client import Client
from k8slite.clock import Clock, micro_timestamp
from k8slite.errors import ApiError
from k8slite.kinds.resources import LEASES

log = logging.getLogger(__name__)

NAMESPACE = "kube-node-lease"
_RETRY = 2.0


class NodeLease:
    """One node's lease, owned by the Node whose UID `node_uid` tells; `duration` in seconds."""

    def __init__(self, client: Client, *, node: str, node_uid: Callable[[], str], duration: int, clock: Clock) -> None:
        self._client, self._node, self._uid = client, node, node_uid
        self._duration, self._clock = duration, clock

    async def renew(self) -> None:
        """Renew it, or make it. Raises ApiError and aiohttp.ClientError."""
        moment = micro_timestamp(self._clock.now())
        change: dict[str, Any] = {"spec": {"renewTime": moment, "holderIdentity": self._node}}
        try:
            await self._client.patch(LEASES, self._node, change, namespace=NAMESPACE)
        except ApiError as error:
            if error.code != 404:
                raise
        else:
            return
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": self._uid()}
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._node, "namespace": NAMESPACE, "ownerReferences": [owner]},
            "spec": {**change["spec"], "leaseDurationSeconds": self._duration},
        }
        await self._client.create(LEASES, body, namespace=NAMESPACE)

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            delay = self._duration / 4
            try:
                await self.renew()
            except (ApiError, aiohttp.ClientError, OSError) as error:
                log.warning("lease of node %s: %s", self._node, error)
                delay = _RETRY
            await self._clock.sleep(delay)
