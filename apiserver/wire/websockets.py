"""A watch over a WebSocket: one text message for each event, for browsers, which cannot read a stream otherwise.

Source: Kubernetes' apiserver, endpoints/handlers/watch.go (HandleWS).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from ..calls import Receive, Send, Stream


async def send_events(receive: Receive, send: Send, stream: Stream, *, subprotocols: Sequence[str]) -> None:
    """Accept the WebSocket and send until the watch ends or the client leaves. `subprotocols` are without tokens."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": subprotocols[0] if len(subprotocols) == 1 else None})
    pump = asyncio.ensure_future(_pump(send, stream.chunks))
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        left = gone.done()
        for task in (pump, gone):
            task.cancel()
        await asyncio.gather(pump, gone, return_exceptions=True)
    if not left:
        await send({"type": "websocket.close", "code": 1000})


async def _pump(send: Send, chunks: AsyncIterator[bytes]) -> None:
    async with aclosing(cast(Any, chunks)) as pieces:
        async for piece in pieces:
            for line in piece.splitlines(keepends=True):
                await send({"type": "websocket.send", "text": line.decode()})


async def _disconnected(receive: Receive) -> None:
    """Whatever the client says is ignored."""
    while (await receive())["type"] != "websocket.disconnect":
        pass
