"""Gives every node its pod networks: `spec.podCIDRs`, and `spec.podCIDR`, which is the first of them.

What is decided in memory is decided before anything is awaited, so that no two nodes are given the same; a restart
learns what is taken from the nodes themselves, before the first is given anything. A write is conditional on the node's
revision, so that no node is given two.
"""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from ..context import Context, Runnable
from .plan import ranges

COMPONENT = "cidrAllocator"


def build(context: Context) -> Sequence[Runnable]:
    """The controller, unless nodes are given their networks by somebody else. Raises ConfigError."""
    return [NodeIpamSync(context).controller] if context.config.allocate_node_cidrs else []


class NodeIpamSync:
    """Syncs nodes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ranges = ranges(context.config)
        self._waiting: dict[str, None] = {}
        """Nodes that found no block left: thousands of them, tried again each minute, would be a load for nothing."""
        self._nodes = context.informers.of(NODES)
        self.controller = Controller(
            "cidrallocator_node", self.sync, clock=context.clock, workers=context.config.workers
        )
        self._nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            if old is not None:
                self._waiting.pop(old.name, None)
                self._release(old.name)
        elif cidrs := _given(new):
            self._waiting.pop(new.name, None)
            self._ranges.holds(new.name, cidrs)
        elif new.name not in self._waiting:
            self.controller.queue.add(new.key)

    def _release(self, name: str) -> None:
        if self._ranges.release(name):
            self._wake()

    def _wake(self) -> None:
        """A block is free again: the next of those that found none has a try."""
        if self._waiting:
            name = next(iter(self._waiting))
            del self._waiting[name]
            self.controller.queue.add(name)

    async def sync(self, key: str) -> Result:
        """One node."""
        node = self._nodes.get(key)
        if node is None or _given(node):
            return DONE
        cidrs = self._ranges.allocate(key)
        if cidrs is None:
            self._waiting[key] = None
            self._say(node, "CIDRNotAvailable")
            return DONE
        body = {
            "metadata": {"uid": node.uid, "resourceVersion": node.metadata.resource_version},
            "spec": {"podCIDR": cidrs[0], "podCIDRs": list(cidrs)},
        }
        try:
            await self._context.client.patch(NODES, key, body)
        except ApiError as error:
            # Refused for certain, the blocks are free. After a fault of the network or the server they might have been
            # written; then they stay the node's, which has the same offered again.
            if error.code < 500 and self._ranges.held(key) is cidrs:
                self._release(key)
            if error.code not in (404, 409):
                self._say(node, "CIDRAssignmentFailed")
            raise
        return DONE

    def _say(self, node: Node, status: str) -> None:
        self._context.say(COMPONENT, node, status, f"Node {node.name} status is now: {status}")


def _given(node: Node) -> list[str]:
    return node.spec.pod_cidrs or ([node.spec.pod_cidr] if node.spec.pod_cidr else [])
