"""GET pods/<name>/log: the kubelet's stream, passed on piece by piece: an answer's body, or a WebSocket's messages.

Source: Kubernetes' registry/core/pod/rest/log.go; apimachinery, util/httpstream/wsstream (Reader).
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from k8slite.errors import bad_request

from ..calls import Answer, Call, Stream
from ..strategies.base import Document
from ..wire.respond import disconnected, while_connected
from . import target
from .kubelets import Kubelets, unreachable

if TYPE_CHECKING:
    import aiohttp

_TEXT = b"text/plain"
_ERROR_LIMIT = 65536
_TEXT_PROTOCOL = "base64.binary.k8s.io"
_PROTOCOLS = ("binary.k8s.io", _TEXT_PROTOCOL)


async def logs(call: Call, pod: Document, *, kubelets: Kubelets) -> Answer | Stream:
    """The answer of the pod's kubelet. Raises ApiError."""
    import aiohttp

    container = target.container(pod, call.options.query)
    query = target.log_query(pod, call.options.query)
    node = target.node(pod)
    if not node:
        return Answer(b"", 204, _TEXT)
    metadata = pod["metadata"]
    path = kubelets.path("containerLogs", metadata["namespace"], metadata["name"], container, query=query)
    url = f"https://{kubelets.address(node)}{path}"
    try:
        response = await kubelets.session.get(url)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(node, error) from error
    if response.status != 200:
        async with response:
            raise target.refusal(response.status, await response.content.read(_ERROR_LIMIT))
    return Stream(_Pieces(response), _TEXT)


async def to_websocket(call: Call, pod: Document, *, kubelets: Kubelets) -> None:
    """Send a log in messages, and close at its end. Raises ApiError before the handshake."""
    offered = call.scope.get("subprotocols") or []
    chosen = next((name for name in offered if name in _PROTOCOLS), None)
    if offered and chosen is None:
        raise bad_request(f"requested protocol(s) are not supported: {offered}; supports {list(_PROTOCOLS)}")
    log = await logs(call, pod, kubelets=kubelets)
    await call.receive()  # websocket.connect
    await call.send({"type": "websocket.accept", "subprotocol": chosen})
    sending = _send(call, log, as_text=chosen == _TEXT_PROTOCOL)
    try:
        await while_connected(sending, gone=disconnected(call.receive, "websocket.disconnect"))
    finally:
        if isinstance(log, Stream):
            await log.chunks.aclose()


async def _send(call: Call, log: Answer | Stream, *, as_text: bool) -> None:
    if isinstance(log, Stream):
        async for piece in log.chunks:
            content = {"text": base64.b64encode(piece).decode()} if as_text else {"bytes": piece}
            await call.send({"type": "websocket.send", **content})
    await call.send({"type": "websocket.close", "code": 1000})


class _Pieces:
    """A kubelet's answer, piece by piece; closed though nothing of it was read, as a generator could not be."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        import aiohttp

        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except aiohttp.ClientError:
            return  # the kubelet went away: what came until then is the answer

    async def aclose(self) -> None:
        self._response.close()
