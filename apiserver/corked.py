"""A transport that sends the head of a response together with what follows.

uvicorn writes head and body one after the other. Over TLS that is two records and two system calls for each answer,
half of what a GET costs; held back until the body comes, the head costs next to nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "
_JOINED = 64 * 1024
"""A longer body is not copied to join it to its head."""


class Corked:
    """Wraps a transport. `cork` is set for responses; everything but a response's head passes at once."""

    __slots__ = ("_held", "cork", "raw", "write_raw")

    def __init__(self, raw: asyncio.Transport) -> None:
        self.raw = raw
        self.write_raw = raw.write
        self.cork = False
        self._held = b""

    def write(self, data: bytes) -> None:
        """Hold a response's head back (not `100 Continue`); send anything else, after what is held."""
        if self._held:
            held, self._held = self._held, b""
            if len(data) <= _JOINED:
                self.write_raw(held + data)
                return
            self.write_raw(held)
        elif self.cork and data.startswith(_HEAD) and data[len(_HEAD) :][:1] != b"1":
            self.cork = False
            self._held = data
            return
        self.write_raw(data)

    def flush(self) -> None:
        """Send what is held: no body follows it."""
        if self._held:
            held, self._held = self._held, b""
            self.write_raw(held)

    def close(self) -> None:
        """Close once everything has gone out."""
        self.flush()
        self.raw.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)
