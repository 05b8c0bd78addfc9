"""Gives every node its pod network: `spec.podCIDR`.

One worker and the blocks in memory are the only writers; a restart learns what is taken from the nodes themselves. A
write is conditional on the node's revision, so that no node is given a second block.
"""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from ..context import Context, Runnable
from .plan import Blocks


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [NodeIpamSync(context).controller]


class NodeIpamSync:
    """Syncs nodes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._blocks = Blocks(context.config.cluster_cidr, context.config.node_cidr_mask_size)
        self._waiting: set[str] = set()
        """Nodes that found no block left: thousands of them, tried again each minute, would be a load for nothing."""
        self._nodes = context.informers.of(NODES)
        self.controller = Controller("node-ipam", self.sync, clock=context.clock, workers=1)
        self._nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None and old is not None:
            self._waiting.discard(old.key)
            for cidr in old.spec.pod_cidrs:
                self._blocks.give_back(cidr)
                self._wake()
        elif new is not None and new.spec.pod_cidrs:
            self._waiting.discard(new.key)
            if old is None or old.spec.pod_cidrs != new.spec.pod_cidrs:
                for cidr in new.spec.pod_cidrs:
                    self._blocks.take(cidr)
        elif new is not None and new.key not in self._waiting:
            self.controller.queue.add(new.key)

    def _wake(self) -> None:
        """A block is free again: the next of those that found none has a try."""
        if self._waiting:
            self.controller.queue.add(self._waiting.pop())

    async def sync(self, key: str) -> Result:
        """One node."""
        node = self._nodes.get(key)
        if node is None or node.spec.pod_cidrs or node.spec.pod_cidr:
            return DONE
        cidr = self._blocks.allocate()
        if cidr is None:
            self._waiting.add(key)
            self._context.say("cidrAllocator", node, "CIDRNotAvailable", f"Node {key} status is now: CIDRNotAvailable")
            return DONE
        body = {
            "metadata": {"uid": node.uid, "resourceVersion": node.metadata.resource_version},
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        }
        try:
            await self._context.client.patch(NODES, key, body)
        except ApiError as error:
            # Refused for certain, the block is free. After a fault of the network or the server it might have been
            # written; then it stays taken, and the informer tells whose it is.
            if error.code < 500:
                self._blocks.give_back(cidr)
                self._wake()
            raise
        return DONE
