"""EventRecorder: tells users what a component did or could not do, without flooding the store.

Source: Kubernetes documentation, "Event"; client-go tools/record for aggregation.
"""

from __future__ import annotations

from typing import Literal

from .client import Client
from .clock import Clock
from .kinds.base import Object


class EventRecorder:
    """Writes `v1.Event` objects in the background; repeats raise the count of one event instead of making more."""

    def __init__(self, client: Client, *, component: str, clock: Clock, host: str = "") -> None:
        raise NotImplementedError

    def record(
        self,
        about: Object,
        *,
        reason: str,
        message: str,
        type: Literal["Normal", "Warning"] = "Normal",
        field_path: str = "",
    ) -> None:
        """Queue an event and return at once; a full queue drops the oldest. `about` needs api_version and kind set."""
        raise NotImplementedError

    async def run(self) -> None:
        """Write queued events until cancelled, then flush for up to 2 seconds."""
        raise NotImplementedError
