"""Removes pods that nobody will ever finish deleting, and ended pods beyond a number."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from ..context import Context, Runnable
from ..pods import PODS, Pod, by_node
from .plan import beyond_limit, never_bound

QUARANTINE = 40.0
"""Seconds that a pod's node must be missing before the pod is given up: the node may be registering anew."""
COUNT_PERIOD = 300.0
COUNT = "/count"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [PodGcSync(context).controller]


class PodGcSync:
    """Syncs pods by key, and the number of ended pods by the key `/count`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._missing_since: dict[str, float] = {}
        self._nodes = context.informers.of(NODES)
        self._pods = context.informers.of(PODS, node=by_node)
        self.controller = Controller("pod-gc", self.sync, clock=context.clock, workers=2)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)
        self.controller.queue.add(COUNT)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None:
            self._missing_since.pop(new.name, None)
        elif old is not None:
            self._missing_since[old.name] = self._context.clock.monotonic()
            for pod in self._pods.by_index("node", old.name):
                self.controller.queue.add_after(pod.key, QUARANTINE)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            return
        if never_bound(new):
            self.controller.queue.add(new.key)
            return
        node = new.spec.node_name
        bound = bool(node) and (old is None or old.spec.node_name != node)
        # At the start pods may come before their nodes: only the sync, later, tells which node is missing.
        if bound and self._nodes.get(node) is None:
            self.controller.queue.add_after(new.key, QUARANTINE)

    async def sync(self, key: str) -> Result:
        """One pod, or the count."""
        if key == COUNT:
            for ended in beyond_limit(self._pods.list()):
                await self._remove(ended)
            return Result(COUNT_PERIOD)
        pod = self._pods.get(key)
        if pod is None:
            return DONE
        if never_bound(pod):
            await self._remove(pod)
        elif pod.spec.node_name and self._nodes.get(pod.spec.node_name) is None:
            return await self._orphan(pod)
        return DONE

    async def _orphan(self, pod: Pod) -> Result:
        """The pod of a node that is gone: an active one is Failed first, so that its owner counts it."""
        now = self._context.clock.monotonic()
        waited = now - self._missing_since.setdefault(pod.spec.node_name, now)
        if waited < QUARANTINE:
            return Result(QUARANTINE - waited + 0.1)
        try:
            await self._context.client.get(NODES, pod.spec.node_name)
        except ApiError as error:
            if error.code != 404:
                raise
        else:
            return DONE
        if not pod.finished:
            body = {"metadata": {"uid": pod.uid}, "status": {"phase": "Failed", "reason": "NodeLost"}}
            await self._context.client.patch(PODS, pod.name, body, namespace=pod.namespace, subresource="status")
        await self._remove(pod)
        return DONE

    async def _remove(self, pod: Pod) -> None:
        try:
            await self._context.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid, grace_period=0)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
