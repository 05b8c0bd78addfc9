"""Notices nodes that stop answering: marks them, taints them, and marks their pods as not ready.

A heartbeat is a change of the node's Lease or of its status. It only notes the time; a node is looked at when its
heartbeat would be too old, or when its conditions change, so that healthy nodes cost next to nothing.

Silence counts only while Leases can be heard: after the API server was away, every node has the time that it had left
to show that it lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.client import Patch
from k8slite.clock import timestamp
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.base import Condition
from k8slite.kinds.coordination import Lease
from k8slite.kinds.core import Node
from k8slite.kinds.resources import LEASES, NODES

from ..children import all_of
from ..context import Context, Runnable
from ..pods import PODS, Pod, by_node
from .plan import plan

LEASE_NAMESPACE = "kube-node-lease"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [NodeLifecycleSync(context).controller]


class NodeLifecycleSync:
    """Syncs nodes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._heard: dict[str, float] = {}
        """When each node was last heard of, by the clock of the informer of Leases."""
        self._nodes = context.informers.of(NODES)
        self._pods = context.informers.of(PODS, node=by_node)
        self._leases = context.informers.of(LEASES)
        self.controller = Controller("node-lifecycle", self.sync, clock=context.clock, workers=context.config.workers)
        self._nodes.add_handler(self._node_changed)
        self._leases.add_handler(self._lease_changed)

    def _lease_changed(self, old: Lease | None, new: Lease | None) -> None:
        if new is None or new.namespace != LEASE_NAMESPACE:
            return
        if old is None or old.spec.renew_time != new.spec.renew_time:
            self._heard[new.name] = self._leases.listened()

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            if old is not None:
                self._heard.pop(old.name, None)
            return
        if old is None or _heartbeats(old) != _heartbeats(new):
            self._heard[new.name] = self._leases.listened()
        if old is None or _looks(old) != _looks(new):
            self.controller.queue.add(new.key)

    def _another_lives(self, name: str, *, now: float) -> bool:
        """Whether another node is ready and was heard of lately: when all fall silent at once, the first to be missed
        finds the others silent for nearly as long."""
        lately = now - self._context.config.node_monitor_grace_period / 2
        return any(
            heard > lately and other != name and (node := self._nodes.get(other)) is not None and node.ready
            for other, heard in self._heard.items()
        )

    async def sync(self, key: str) -> Result:
        """One node."""
        node = self._nodes.get(key)
        if node is None or node.deleting:
            return DONE
        now = self._leases.listened()
        config = self._context.config
        decided = plan(
            node=node,
            silent_for=now - self._heard.setdefault(key, now),
            grace=config.node_monitor_grace_period,
            evict=self._another_lives(key, now=now),
            now=self._context.clock.now(),
        )
        if decided.conditions is not None:
            await self._write_conditions(node, decided.conditions)
            return Result(0.05)  # taints follow when the cache shows the conditions, or at once
        if decided.taints is not None:
            body = {
                "metadata": {"uid": node.uid, "resourceVersion": node.metadata.resource_version},
                "spec": {"taints": [taint.to_wire() for taint in decided.taints] or None},
            }
            await self._context.client.patch(NODES, node.name, body)
        if decided.pods_not_ready:
            await all_of(self._mark(pod) for pod in self._pods.by_index("node", key) if pod.ready)
        return Result(decided.requeue_after)

    async def _write_conditions(self, node: Node, listed: Sequence[Condition]) -> None:
        body = {
            "metadata": {"uid": node.uid, "resourceVersion": node.metadata.resource_version},
            "status": {"conditions": [condition.to_wire() for condition in listed]},
        }
        await self._context.client.patch(NODES, node.name, body, subresource="status")
        message = f"Node {node.name} status is now: NodeNotReady"
        self._context.say("node-controller", node, "NodeNotReady", message)

    async def _mark(self, pod: Pod) -> None:
        """A pod that nobody can vouch for is not ready, and takes no more traffic."""
        ready = {"type": "Ready", "status": "False", "lastTransitionTime": timestamp(self._context.clock.now())}
        body: dict[str, Any] = {
            "metadata": {"uid": pod.uid, "resourceVersion": pod.metadata.resource_version},
            "status": {"conditions": [ready]},
        }
        try:
            await self._context.client.patch(
                PODS, pod.name, body, namespace=pod.namespace, subresource="status", patch=Patch.STRATEGIC
            )
        except ApiError as error:
            if error.code != 404:
                raise
        self._context.say("node-controller", pod, "NodeNotReady", "Node is not ready", type="Warning")


def _heartbeats(node: Node) -> list[object]:
    return [c.last_heartbeat_time for c in node.status.conditions]


def _looks(node: Node) -> tuple[object, ...]:
    """What of a node decides on its taints."""
    return node.spec, [(c.type, c.status) for c in node.status.conditions]
