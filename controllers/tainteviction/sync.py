"""Deletes pods from nodes whose NoExecute taints they do not put up with, or no longer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from k8slite.client import Patch
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from ..context import Context, Runnable
from ..pods import PODS, Pod, by_node
from .metrics import DELETIONS, LATENCY
from .plan import Standing, disruption, seconds_left, standing

COMPONENT = "taint-eviction-controller"
REASON = "TaintManagerEviction"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [TaintEvictionSync(context).controller]


class TaintEvictionSync:
    """Syncs pods."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._standing: dict[str, tuple[Standing, ...]] = {}
        """By node, of those that have any."""
        self._marked: dict[str, Pod] = {}
        """Pods that will have to go when their time is up."""
        self._nodes = context.informers.of(NODES)
        self._pods = context.informers.of(PODS, node=by_node)
        self.controller = Controller("noexec_taint_pod", self.sync, clock=context.clock, workers=context.config.workers)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        name = new.name if new is not None else old.name if old is not None else ""
        before = self._standing.get(name, ())
        after = standing(new.spec.taints, before, now=self._context.clock.now()) if new is not None else ()
        if before == after:
            return
        if after:
            self._standing[name] = after
        else:
            del self._standing[name]
        if new is not None:  # the pods of a node that is gone are not ours
            for pod in self._pods.by_index("node", name):
                self.controller.queue.add(pod.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self._cancel(old.key)
                self.controller.queue.drop(old.key)
        elif new.spec.node_name in self._standing and (
            old is None
            or old.spec.node_name != new.spec.node_name
            or old.spec.tolerations != new.spec.tolerations
            or new.key in self._marked
        ):
            self.controller.queue.add(new.key)

    def _cancel(self, key: str) -> None:
        if (pod := self._marked.pop(key, None)) is not None:
            self._context.say(COMPONENT, pod, REASON, f"Cancelling deletion of Pod {key}")

    async def sync(self, key: str) -> Result:
        """One pod."""
        pod = self._pods.get(key)
        if pod is None:
            return DONE
        stand = self._standing.get(pod.spec.node_name, ())
        left = seconds_left(pod, stand, now=self._context.clock.now())
        if pod.deleting or pod.finished:
            self._marked.pop(key, None)
            return DONE
        if math.isinf(left):
            self._cancel(key)
            self.controller.queue.drop(key)
            return DONE
        if left > 0:
            self._marked[key] = pod
            return Result(left)
        self._marked.pop(key, None)
        await self._evict(pod)
        DELETIONS.inc()
        LATENCY.observe(-left)
        return DONE

    async def _evict(self, pod: Pod) -> None:
        """Say why, then delete with the pod's own grace; one that is gone meanwhile, or another now, is nobody's."""
        self._context.say(COMPONENT, pod, REASON, f"Marking for deletion Pod {pod.key}")
        client, place = self._context.client, pod.namespace
        try:
            if (condition := disruption(pod, now=self._context.clock.now())) is not None:
                body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
                await client.patch(PODS, pod.name, body, namespace=place, subresource="status", patch=Patch.STRATEGIC)
            await client.delete(PODS, pod.name, namespace=place, uid=pod.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
