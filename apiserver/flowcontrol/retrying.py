"""When a client that was refused is told to come again: in a second, later while refusals go on, at most half a minute.

Source: Kubernetes' apiserver, util/flowcontrol/dropped_requests_tracker.go.
"""

from __future__ import annotations

from collections import deque

LONGEST = 32


class RetryAfter:
    """The advice of one priority level: it doubles while refusals are many, and falls by a second when they are few."""

    __slots__ = ("_count", "_past", "_raised", "_second", "seconds")

    def __init__(self) -> None:
        self.seconds = 1
        self._second = 0
        self._count = 0
        self._raised = 0
        self._past: deque[tuple[int, int]] = deque()

    def refused(self, second: int) -> int:
        """A request was refused in this second of some clock; what its client is told."""
        if second == self._second:
            self._count += 1
            return self.seconds
        self._past.append((self._second, self._count))
        self._second, self._count = second, 1
        while self._past and second - self._past[0][0] > min(2 * self.seconds, LONGEST):
            self._past.popleft()
        recent = sum(count for past, count in self._past if second - past <= self.seconds)
        if second - self._raised >= self.seconds and recent >= 3 * self.seconds:
            self.seconds = min(2 * self.seconds, LONGEST)
            self._raised = second
        elif recent < self.seconds > 1:
            self.seconds -= 1
        return self.seconds
