"""How long a failed pod stays before it is replaced: a kubelet that refuses pods refuses the next one too.

It is kept in memory, as upstream keeps it: who takes over begins anew.

Source: client-go util/flowcontrol Backoff, and the numbers that kube-controller-manager gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FIRST = 1.0
"""Seconds after the first failure on a node."""
LONGEST = 900.0


@dataclass(frozen=True, slots=True)
class _Entry:
    since: float
    delay: float

    def old(self, now: float) -> bool:
        """Whether nothing failed for so long that the next failure counts as the first."""
        return now - self.since > 2 * LONGEST


class Backoff:
    """By the DaemonSet's key, its generation and the node. Times are those of one monotonic clock."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, _Entry]] = {}
        self._generations: dict[str, tuple[str, int]] = {}

    def held(self, key: str, *, uid: str, generation: int, now: float) -> Mapping[str, float]:
        """Seconds left by node. Another generation of the DaemonSet begins with none."""
        if self._generations.get(key) != (uid, generation):
            self._generations[key] = (uid, generation)
            self._entries.pop(key, None)
        entries = self._entries.get(key)
        if not entries:
            return {}
        for node in [node for node, entry in entries.items() if entry.old(now)]:
            del entries[node]
        left = {node: entry.since + entry.delay - now for node, entry in entries.items()}
        return {node: seconds for node, seconds in left.items() if seconds > 0}

    def failed(self, key: str, node: str, *, now: float) -> None:
        """A failed pod on the node is being replaced: the next one waits twice as long."""
        entries = self._entries.setdefault(key, {})
        known = entries.get(node)
        delay = FIRST if known is None or known.old(now) else min(known.delay * 2, LONGEST)
        entries[node] = _Entry(now, delay)

    def forget(self, key: str) -> None:
        """The DaemonSet is gone."""
        self._entries.pop(key, None)
        self._generations.pop(key, None)
