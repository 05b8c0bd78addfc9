"""Tells the pods of nodes that are not ready to leave, by a taint, node by node at the rate of each zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from ..context import Context
from .line import Line
from .metrics import EMPTIED
from .plan import emptied
from .zones import zone_of

PERIOD = 2.0
"""Seconds between looks whether any node lives, while none was heard of lately."""


class Emptying:
    """Syncs zones. Who waits is known from the nodes: after a restart they come again."""

    def __init__(self, context: Context, *, rate: float, another_lives: Callable[[str], bool]) -> None:
        self._context = context
        self._rate = rate
        self._another_lives = another_lives
        self._lines: dict[str, Line] = {}
        self._zones: dict[str, str] = {}
        """The zone in whose line a node waits."""
        self._rates: Mapping[str, float] = {}
        self._nodes = context.informers.of(NODES)
        self.controller = Controller("node_lifecycle_controller_pods", self.sync, clock=context.clock, workers=4)

    def add(self, node: Node) -> None:
        """The pods of a node are to leave when it is its turn."""
        zone = zone_of(node)
        if self._zones.get(node.name, zone) != zone:
            self.remove(node.name)
        if self._line(zone).add(node.name):
            self._zones[node.name] = zone
            self.controller.queue.add(zone)

    def remove(self, name: str) -> None:
        """The pods of a node may stay, or were told."""
        zone = self._zones.pop(name, None)
        if zone is not None:
            self._lines[zone].remove(name)

    def set_rates(self, rates: Mapping[str, float]) -> None:
        """Nodes a second by zone; zones that are not named have the usual rate."""
        self._rates = rates
        for zone in rates:
            self._line(zone)
        now = self._context.clock.monotonic()
        for zone, line in self._lines.items():
            if line.set_rate(rates.get(zone, self._rate), now=now):
                self.controller.queue.add(zone)

    def _line(self, zone: str) -> Line:
        if zone not in self._lines:
            rate = self._rates.get(zone, self._rate)
            self._lines[zone] = Line(rate=rate, now=self._context.clock.monotonic())
        return self._lines[zone]

    async def sync(self, zone: str) -> Result:
        """One zone: the next node of its line, if it may be."""
        line = self._lines.get(zone)
        if line is None or (first := line.first()) is None:
            return DONE
        clock = self._context.clock
        node = self._nodes.get(first)
        wanted = emptied(node, now=clock.now()) if node is not None else None
        if node is None or wanted is None:
            self.remove(first)
            return Result(0.0)
        if not self._another_lives(first):
            return Result(PERIOD)
        if line.take(now=clock.monotonic()) is None:
            left = line.wait(now=clock.monotonic())
            return Result(left) if left is not None else DONE
        self._zones.pop(first, None)
        body = {
            "metadata": {"uid": node.uid, "resourceVersion": node.metadata.resource_version},
            "spec": {"taints": [taint.to_wire() for taint in wanted]},
        }
        try:
            await self._context.client.patch(NODES, first, body)
        except BaseException as error:
            self._zones[first] = zone
            if isinstance(error, ApiError) and error.code < 500:
                line.give_back(first)  # refused for certain, as when the node has changed meanwhile
            else:
                line.add(first)
            raise
        EMPTIED.labels(zone).inc()
        left = line.wait(now=clock.monotonic())
        return Result(left) if left is not None else DONE
