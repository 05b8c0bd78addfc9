"""exec and attach: the client's WebSocket joined to the kubelet's, frame by frame.

Both legs speak the same subprotocol, which the kubelet chooses among those that the client offers; nothing in a frame
is looked at. In v5 the end of one stream is a frame too (255 and the channel), so half-closing needs nothing here.

A kubelet's refusal comes when the handshake with the client could still be refused as well. It is not: kubectl would
then try SPDY and show that failure instead. The client is accepted and gets the Status on the error channel, which
every client reads.

Source: Kubernetes enhancement 4006, "Transition from SPDY to WebSockets"; apimachinery, remotecommand constants.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from k8slite.errors import ApiError, bad_request

from ..calls import Call
from ..strategies.base import Document
from . import target
from .kubelets import Kubelets, unreachable

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
ERROR_CHANNEL = 3
_OPEN_TIMEOUT = 10.0
_MESSAGE_LIMIT = 16 << 20


async def join(call: Call, pod: Document, *, kubelets: Kubelets, action: str) -> None:
    """Serve exec or attach on the connection itself. Raises ApiError before the handshake only."""
    query = call.options.query
    container = target.container(pod, query)
    passed = target.exec_query(pod, query, command=action == "exec")
    if call.scope["type"] != "websocket":
        upgrade = dict(call.scope["headers"]).get(b"upgrade", b"").decode("latin-1")
        if upgrade:
            raise bad_request(f"{action} over {upgrade} is not supported: use a client that speaks WebSocket")
        raise bad_request("Upgrade request required")
    offered = [name for name in call.scope.get("subprotocols") or () if name in PROTOCOLS]
    if not offered:
        raise bad_request(f"none of the subprotocols {', '.join(PROTOCOLS)} was offered")
    node, metadata = target.node(pod), pod["metadata"]
    path = kubelets.path(action, metadata["namespace"], metadata["name"], container, query=passed)
    address = kubelets.address(node)
    try:
        kubelet = await _dial(f"wss://{address}{path}", kubelets, offered, node=node)
    except ApiError as error:
        await _refuse(call, offered[0], error)
        return
    async with kubelet:
        await call.receive()  # websocket.connect
        await call.send({"type": "websocket.accept", "subprotocol": kubelet.subprotocol})
        await _pump(call, kubelet)


async def _dial(url: str, kubelets: Kubelets, offered: list[str], *, node: str) -> ClientConnection:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus
    from websockets.typing import Subprotocol

    try:
        kubelet = await connect(
            url,
            ssl=kubelets.tls,
            subprotocols=[Subprotocol(name) for name in offered],
            compression=None,
            proxy=None,
            open_timeout=_OPEN_TIMEOUT,
            max_size=_MESSAGE_LIMIT,
        )
    except InvalidStatus as error:
        raise target.refusal(error.response.status_code, bytes(error.response.body or b"")) from None
    except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
        raise unreachable(node, error) from error
    if kubelet.subprotocol is None:
        await kubelet.close()
        raise unreachable(node, ConnectionError("it chose no subprotocol"))
    return kubelet


async def _pump(call: Call, kubelet: ClientConnection) -> None:
    upward = asyncio.create_task(_to_kubelet(call, kubelet))
    downward = asyncio.create_task(_to_client(call, kubelet))
    try:
        await asyncio.wait((upward, downward), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (upward, downward):
            task.cancel()
        await asyncio.gather(upward, downward, return_exceptions=True)


async def _to_kubelet(call: Call, kubelet: ClientConnection) -> None:
    from websockets.exceptions import ConnectionClosed

    while True:
        message = await call.receive()
        if message["type"] != "websocket.receive":
            return
        data = message.get("bytes")
        try:
            await kubelet.send(data if data is not None else message["text"])
        except ConnectionClosed:
            # The command has ended; what it wrote last may still be on its way to the client.
            await asyncio.get_running_loop().create_future()


async def _to_client(call: Call, kubelet: ClientConnection) -> None:
    from websockets.exceptions import ConnectionClosedError

    code = 1000
    try:
        async for data in kubelet:
            kind = "bytes" if isinstance(data, bytes) else "text"
            await call.send({"type": "websocket.send", kind: data})
    except ConnectionClosedError:
        code = 1011  # the kubelet went away in the middle
    await call.send({"type": "websocket.close", "code": code})


async def _refuse(call: Call, subprotocol: str, error: ApiError) -> None:
    await call.receive()
    await call.send({"type": "websocket.accept", "subprotocol": subprotocol})
    await call.send({"type": "websocket.send", "bytes": bytes([ERROR_CHANNEL]) + orjson.dumps(error.status())})
    await call.send({"type": "websocket.close", "code": 1000})
