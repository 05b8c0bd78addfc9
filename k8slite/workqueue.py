"""WorkQueue: deduplicating, delaying, backing off.

Invariants: a key is never worked on twice at once; a key added while it is being worked on is worked on again after.
"""

from __future__ import annotations

from .clock import Clock


class WorkQueue:
    """Keys waiting for a worker."""

    def __init__(self, *, clock: Clock, base_delay: float = 0.005, max_delay: float = 60.0) -> None:
        raise NotImplementedError

    def add(self, key: str) -> None:
        """Queue a key unless it waits already."""
        raise NotImplementedError

    def add_after(self, key: str, seconds: float) -> None:
        """Queue a key later; the earliest of several delays wins."""
        raise NotImplementedError

    def add_rate_limited(self, key: str) -> None:
        """Queue a key after a delay that doubles with each failure."""
        raise NotImplementedError

    def forget(self, key: str) -> None:
        """The key succeeded: its next failure starts from the base delay."""
        raise NotImplementedError

    async def get(self) -> str:
        """The next key; call `done` when finished with it."""
        raise NotImplementedError

    def done(self, key: str) -> None:
        """The worker is finished with the key."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError
