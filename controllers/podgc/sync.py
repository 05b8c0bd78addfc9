"""Removes pods that nobody will ever finish deleting, and ended pods beyond a number.

Nothing is scanned: pods and nodes that change say what to look at.
"""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.client import Patch
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from ..children import all_of
from ..context import Context, Runnable
from ..pods import PODS, Pod, by_node
from .metrics import FAILED, FORCED
from .plan import Reason, beyond_limit, ending, out_of_service, unfinishable

QUARANTINE = 40.0
"""Seconds that a pod's node must be missing before the pod is given up: the node may be registering anew."""
COUNT_PERIOD = 5.0
"""Seconds between two looks at the ended pods while they are too many: each sorts them all."""
ENDED = "/ended"
_NODE = "/node/"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [PodGcSync(context).controller]


class PodGcSync:
    """Syncs pods by key, nodes that are missing by `/node/<name>`, and the number of ended pods by `/ended`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limit = context.config.terminated_pod_gc_threshold
        self._ended = 0
        self._missing_since: dict[str, float] = {}
        self._nodes = context.informers.of(NODES)
        self._pods = context.informers.of(PODS, node=by_node)
        self.controller = Controller("orphaned_pods_nodes", self.sync, clock=context.clock, workers=4)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None:
            self._missing_since.pop(new.name, None)
            if out_of_service(new) and (old is None or not out_of_service(old)):
                for pod in self._pods.by_index("node", new.name):
                    if pod.deleting:
                        self.controller.queue.add(pod.key)
        elif old is not None and self._pods.by_index("node", old.name):
            self._miss(old.name)

    def _miss(self, node: str) -> None:
        self._missing_since.setdefault(node, self._context.clock.monotonic())
        self.controller.queue.add_after(f"{_NODE}{node}", QUARANTINE)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        self._count(old, new)
        if new is None:
            return
        node = self._nodes.get(new.spec.node_name) if new.spec.node_name else None
        if unfinishable(new, node) is not None:
            self.controller.queue.add(new.key)
        # At the start pods may come before their nodes: only the sync, later, tells which node is missing.
        elif node is None and new.spec.node_name and (old is None or old.spec.node_name != new.spec.node_name):
            self._miss(new.spec.node_name)

    def _count(self, old: Pod | None, new: Pod | None) -> None:
        before, after = old is not None and old.finished, new is not None and new.finished
        self._ended += after - before
        if after and not before and 0 < self._limit < self._ended:
            self.controller.queue.add_after(ENDED, COUNT_PERIOD)

    async def sync(self, key: str) -> Result:
        """One pod, one node that is missing, or the count."""
        if key == ENDED:
            surplus = beyond_limit(self._pods.list(), limit=self._limit)
            await all_of(self._remove(pod, Reason.TERMINATED) for pod in surplus)
            return DONE
        if key.startswith(_NODE):
            return await self._orphans(key.removeprefix(_NODE))
        pod = self._pods.get(key)
        if pod is not None:
            node = self._nodes.get(pod.spec.node_name) if pod.spec.node_name else None
            if (reason := unfinishable(pod, node)) is not None:
                await self._remove(pod, reason)
        return DONE

    async def _orphans(self, node: str) -> Result:
        """The pods of a node that is gone, as the API server says and not only the cache."""
        pods = self._pods.by_index("node", node)
        if self._nodes.get(node) is not None or not pods:
            self._missing_since.pop(node, None)
            return DONE
        now = self._context.clock.monotonic()
        waited = now - self._missing_since.setdefault(node, now)
        if waited < QUARANTINE:
            return Result(QUARANTINE - waited + 0.1)
        try:
            await self._context.client.get(NODES, node)
        except ApiError as error:
            if error.code != 404:
                raise
        else:
            return DONE  # the cache will show it
        await all_of(self._remove(pod, Reason.ORPHANED) for pod in pods)
        self._missing_since.pop(node, None)  # names of nodes may never come again
        return DONE

    async def _remove(self, pod: Pod, reason: Reason) -> None:
        """Fail an unfinished pod and delete it without waiting for a kubelet."""
        client = self._context.client
        try:
            if (status := ending(pod, reason=reason, now=self._context.clock.now())) is not None:
                body = {"metadata": {"uid": pod.uid}, "status": status}
                await client.patch(
                    PODS, pod.name, body, namespace=pod.namespace, subresource="status", patch=Patch.STRATEGIC
                )
            await client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid, grace_period=0)
        except ApiError as error:
            if error.code not in (404, 409):
                FAILED.labels(pod.namespace, reason.value).inc()
                raise
        else:
            FORCED.labels(pod.namespace, reason.value).inc()
