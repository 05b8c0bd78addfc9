"""Notices nodes that stop answering: marks them, taints them, and marks their pods as not ready.

A heartbeat is a change of the node's Lease or of its status. It only notes the time; a node is looked at when its
heartbeat is too old, or when something of it changes that counts, so that healthy nodes cost next to nothing.

Silence counts only while Leases can be heard: after the API server was away, every node has the time that it had left
to show that it lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.client import Patch
from k8slite.clock import timestamp
from k8slite.conditions import find
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from ..children import all_of
from ..context import Context, Runnable
from ..pods import PODS, Pod, by_node
from .emptying import Emptying
from .heartbeats import Heartbeats
from .leases import HEARTBEATS, LEASE_NAMESPACE, Heartbeat
from .metrics import show
from .plan import Plan, plan, unknown
from .zones import Census, Settings, judge

OVERDUE, ZONES = "/overdue", "/zones"
"""Keys that are no node: who is silent for too long, and how the zones fare."""
SHORTEST = 0.2
"""Seconds between two looks at who is silent, at least: the clock of silence may stand still."""
COMPONENT = "node-controller"


def build(context: Context) -> Sequence[Runnable]:
    """The controller, and the one that empties nodes at the zones' rates."""
    lifecycle = NodeLifecycleSync(context)
    return [lifecycle.controller, lifecycle.emptying.controller]


class NodeLifecycleSync:
    """Syncs nodes by name."""

    def __init__(self, context: Context) -> None:
        self._context = context
        config = context.config
        self._grace, self._startup_grace = config.node_monitor_grace_period, config.node_startup_grace_period
        self._settings = Settings(
            rate=config.node_eviction_rate,
            secondary_rate=config.secondary_node_eviction_rate,
            threshold=config.unhealthy_zone_threshold,
            large=config.large_cluster_size_threshold,
        )
        self._heartbeats = Heartbeats()
        self._census = Census()
        self._halted = False
        self._known_zones: set[str] = set()
        self._nodes = context.informers.of(NODES)
        self._pods = context.informers.of(PODS, node=by_node)
        self._leases = context.informers.of(HEARTBEATS)
        self.controller = Controller(
            "node_lifecycle_controller", self.sync, clock=context.clock, workers=config.workers
        )
        self.emptying = Emptying(context, rate=config.node_eviction_rate, another_lives=self._another_lives)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)
        self._leases.add_handler(self._lease_changed)

    def _lease_changed(self, old: Heartbeat | None, new: Heartbeat | None) -> None:
        if new is None or new.metadata.namespace != LEASE_NAMESPACE:
            return
        name = new.metadata.name
        if (old is None or old.spec.renew_time != new.spec.renew_time) and name in self._heartbeats:
            self._hear(name)

    def _hear(self, name: str, *, grace: float | None = None) -> None:
        if self._heartbeats.hear(name, now=self._leases.listened(), grace=grace):
            self.controller.queue.add(OVERDUE)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            if old is not None:
                self._forget(old)
            return
        heartbeat = _heartbeat(new)
        if old is None or _heartbeat(old) != heartbeat:
            self._hear(new.name, grace=self._grace if heartbeat else self._startup_grace)
        if old is None or _looks(old) != _looks(new):
            if self._census.see(new):
                self.controller.queue.add(ZONES)
            self.controller.queue.add(new.key)
        if old is None and self._nodes.synced:
            self._tell(new, "RegisteredNode", f"Registered Node {new.name} in Controller")

    def _forget(self, node: Node) -> None:
        self._heartbeats.forget(node.name)
        self.emptying.remove(node.name)
        if self._census.forget(node.name):
            self.controller.queue.add(ZONES)
        self._tell(node, "RemovingNode", f"Removing Node {node.name} from Controller")

    def _tell(self, node: Node, reason: str, message: str) -> None:
        self._context.say(COMPONENT, node, reason, f"Node {node.name} event: {message}")

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A pod that comes to a node which is lost is marked as those that were there."""
        if new is None or not new.spec.node_name or (old is not None and old.spec.node_name):
            return
        node = self._nodes.get(new.spec.node_name)
        if node is not None and _lost(node):
            self.controller.queue.add(node.key)

    def _another_lives(self, name: str) -> bool:
        """Whether another node is ready and was heard of lately: when all fall silent at once, the first to be missed
        finds the others silent for nearly as long."""
        lately = self._leases.listened() - self._grace / 2
        return any(
            other != name and (node := self._nodes.get(other)) is not None and node.ready
            for other in self._heartbeats.heard_since(lately)
        )

    async def sync(self, key: str) -> Result:
        """One node, or all zones, or whoever is overdue."""
        if key == OVERDUE:
            return self._find_overdue()
        if key == ZONES:
            self._judge_zones()
            return DONE
        node = self._nodes.get(key)
        if node is None:
            return DONE
        now = self._context.clock.now()
        if self._heartbeats.lost(key) and (changed := unknown(node, now=now)):
            was_ready = node.ready
            body = {"conditions": [condition.to_wire() for condition in changed]}
            node = await self._context.client.patch(
                NODES, key, _guarded(node, status=body), subresource="status", patch=Patch.STRATEGIC
            )
            if was_ready:
                message = f"Node {key} status is now: NodeNotReady"
                self._context.say(COMPONENT, node, "NodeNotReady", message)
        decided = plan(node, halted=self._halted, now=now)
        await self._write(node, decided)
        if decided.waits:
            self.emptying.add(node)
        else:
            self.emptying.remove(key)
        if _lost(node):
            await all_of(self._mark(pod) for pod in self._pods.by_index("node", key) if pod.ready)
        return DONE

    def _find_overdue(self) -> Result:
        now = self._leases.listened()
        for name in self._heartbeats.overdue(now=now):
            self.controller.queue.add(name)
        left = self._heartbeats.next_due(now=now)
        return Result(max(SHORTEST, left)) if left is not None else DONE

    def _judge_zones(self) -> None:
        sizes = self._census.sizes()
        judged = judge(sizes, self._settings)
        show(sizes, known=self._known_zones)
        self.emptying.set_rates(judged.rates)
        if judged.halted == self._halted:
            return
        self._halted = judged.halted
        if not judged.halted:
            self._heartbeats.hear_all(now=self._leases.listened())
        for node in self._nodes.list():
            if not node.ready:
                self.controller.queue.add(node.key)

    async def _write(self, node: Node, decided: Plan) -> None:
        body = _guarded(node)
        if decided.taints is not None:
            body["spec"] = {"taints": [taint.to_wire() for taint in decided.taints] or None}
        if decided.labels:
            body["metadata"]["labels"] = decided.labels
        if decided.taints is not None or decided.labels:
            await self._context.client.patch(NODES, node.name, body)

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
            return
        self._context.say(COMPONENT, pod, "NodeNotReady", "Node is not ready", type="Warning")


def _guarded(node: Node, **parts: Any) -> dict[str, Any]:
    """A patch that is refused when somebody else has changed the node since."""
    return {"metadata": {"uid": node.uid, "resourceVersion": node.metadata.resource_version}, **parts}


def _heartbeat(node: Node) -> tuple[object, ...]:
    """What a kubelet's report changes, empty if it never made one."""
    ready = find(node.status.conditions, "Ready")
    return (ready.last_heartbeat_time,) if ready is not None else ()


def _lost(node: Node) -> bool:
    ready = find(node.status.conditions, "Ready")
    return ready is not None and ready.status == "Unknown"


def _looks(node: Node) -> tuple[object, ...]:
    """What of a node decides on what is done."""
    return node.spec, node.metadata.labels, [(c.type, c.status) for c in node.status.conditions]
