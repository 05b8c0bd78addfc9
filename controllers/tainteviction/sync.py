"""Deletes pods from nodes whose NoExecute taints they do not put up with, or no longer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from .. import taints
from ..context import Context, Runnable
from ..pods import PODS, Pod, by_node
from .plan import seconds_left


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [TaintEvictionSync(context).controller]


class TaintEvictionSync:
    """Syncs pods."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes = context.informers.of(NODES)
        self._pods = context.informers.of(PODS, node=by_node)
        self.controller = Controller("taint-eviction", self.sync, clock=context.clock, workers=context.config.workers)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None or (_evicting(old) if old is not None else []) == _evicting(new):
            return
        for pod in self._pods.by_index("node", new.name):
            self.controller.queue.add(pod.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None or not new.spec.node_name:
            return
        if old is None or old.spec != new.spec:
            node = self._nodes.get(new.spec.node_name)
            if node is not None and _evicting(node):
                self.controller.queue.add(new.key)

    async def sync(self, key: str) -> Result:
        """One pod."""
        pod = self._pods.get(key)
        node = self._nodes.get(pod.spec.node_name) if pod is not None else None
        if pod is None or node is None or pod.deleting or pod.finished:
            return DONE
        left = seconds_left(pod=pod, node_taints=node.spec.taints, now=self._context.clock.now())
        if math.isinf(left):
            return DONE
        if left > 0:
            return Result(left)
        message = f"Marking for deletion Pod {pod.namespace}/{pod.name}"
        self._context.say("taint-eviction-controller", pod, "TaintManagerEviction", message)
        try:
            await self._context.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        return DONE


def _evicting(node: Node) -> list[object]:
    return [taint for taint in node.spec.taints if taint.effect == taints.NO_EXECUTE]
