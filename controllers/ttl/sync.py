"""Keeps the annotation `node.alpha.kubernetes.io/ttl` of every node."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from ..context import Context, Runnable
from .plan import ANNOTATION, right, seconds, step


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [TtlSync(context).controller]


class TtlSync:
    """Syncs nodes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0
        self._step = 0
        self._nodes = context.informers.of(NODES)
        self.controller = Controller("ttlcontroller", self.sync, clock=context.clock, workers=2)
        self._nodes.add_handler(self._changed)

    def _changed(self, old: Node | None, new: Node | None) -> None:
        self._count += (new is not None) - (old is not None)
        before, self._step = self._step, step(self._step, self._count)
        if self._step != before:
            for node in self._nodes.list():
                self.controller.queue.add(node.key)
        elif new is not None and not right(new.metadata.annotations, wanted=seconds(self._step)):
            self.controller.queue.add(new.key)

    async def sync(self, key: str) -> Result:
        """One node."""
        node = self._nodes.get(key)
        wanted = seconds(self._step)
        if node is not None and not right(node.metadata.annotations, wanted=wanted):
            body = {"metadata": {"uid": node.uid, "annotations": {ANNOTATION: str(wanted)}}}
            await self._context.client.patch(NODES, key, body)
        return DONE
