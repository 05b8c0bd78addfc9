"""The queue's order: higher priority first, then first come, first served."""

from __future__ import annotations

from ..view import Pod


class PrioritySort:
    """Sorts by `spec.priority`."""

    name = "PrioritySort"

    def sort_key(self, pod: Pod) -> int:
        """The highest priority has the lowest key."""
        return -pod.spec.priority
