"""Keeping promises of nodes in step: with what the API shows, with what post filters decide, with where pods end up.

What is decided holds at once and is written to the API in the background; until the API shows it, older news of the
pod do not undo it. A promise that ends without its pod being placed there may make room for pods that had to leave it,
which are woken.

Source: kube-scheduler's event handlers and nominator.
"""

from __future__ import annotations

from .change import NOWHERE, Change, Event
from .columns import Columns
from .nominations import Nominated
from .queue import SchedulingQueue
from .reporting import Reporter
from .shape import Shape
from .view import Pod


class Promises:
    """The one way to change nominations."""

    def __init__(self, columns: Columns, *, queue: SchedulingQueue, reporter: Reporter) -> None:
        self._columns = columns
        self._nominations = columns.nominations
        self._queue = queue
        self._reporter = reporter

    def follow(self, old: Pod | None, new: Pod, shape: Shape) -> None:
        """The API shows a pod that waits to be bound; `old` is what it showed before."""
        if self._columns.placed(new.uid) is not None:
            return  # it has its place: what it was promised is late news, and would be taken of the node once more
        shown, before = new.status.nominated_node_name, self._nominations.get(new.uid)
        if not shown and before is None:
            return
        if new.spec.scheduling_gates:
            wanted = ""
        elif old is not None and old.status.nominated_node_name == shown and not old.spec.scheduling_gates:
            wanted = before.node if before is not None else ""  # nothing new: what was decided since holds
        else:
            wanted = shown
        if wanted:
            self._nominations.put(new, shape, wanted)
        else:
            self._nominations.withdraw(new.uid)
        if before is not None and before.node != wanted:
            self._room(before)

    def give(self, pod: Pod, shape: Shape, node: str) -> None:
        """Promise a node to a pod, or (empty) none any more, whatever it was promised before."""
        if node:
            self._nominations.put(pod, shape, node)
        else:
            self.end(pod.uid)

    def revoke(self, pod: Pod) -> None:
        """A pod of higher priority takes the place: look for another."""
        if self._nominations.withdraw(pod.uid) is not None:
            self._reporter.nominate(pod, "")
            self._queue.activate(pod.uid)

    def end(self, uid: str, *, placed: str = "") -> None:
        """The pod is placed on a node, or waits for none any more."""
        if self._nominations and (before := self._nominations.withdraw(uid)) is not None and before.node != placed:
            self._room(before)

    def _room(self, before: Nominated) -> None:
        row = self._columns.rows.get(before.node, NOWHERE)
        self._queue.changed(Event(Change.POD_REMOVED, row, before.pod, None))
