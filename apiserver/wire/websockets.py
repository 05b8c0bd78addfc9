"""A watch over a WebSocket: one text message for each event, for browsers, which cannot read a stream otherwise.

Source: Kubernetes' apiserver, endpoints/handlers/watch.go (HandleWS).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..calls import Receive, Send, Stream
from .respond import disconnected, while_connected

_NORMAL, _FAILED = 1000, 1011


def before_handshake(send: Send) -> Send:
    """An answer instead of a WebSocket, by ASGI's extension for refusals; other messages pass unchanged."""

    async def sending(message: dict[str, object]) -> None:
        kind = str(message["type"])
        if kind.startswith("http.response."):
            message = {**message, "type": f"websocket.{kind}"}
        await send(message)

    return sending  # type: ignore[return-value]


async def send_events(receive: Receive, send: Send, stream: Stream, *, subprotocols: Sequence[str]) -> None:
    """Accept the WebSocket and send until the watch ends or the client leaves. `subprotocols` are without tokens."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": subprotocols[0] if len(subprotocols) == 1 else None})
    try:
        if await while_connected(_pump(send, stream), gone=disconnected(receive, "websocket.disconnect")):
            await send({"type": "websocket.close", "code": _NORMAL})
    except OSError:
        pass  # the client has gone in the midst of a message
    except Exception:
        await send({"type": "websocket.close", "code": _FAILED})
        raise


async def _pump(send: Send, stream: Stream) -> None:
    async for piece in stream.chunks:
        for line in piece.splitlines(keepends=True):
            await send({"type": "websocket.send", "text": line.decode()})
