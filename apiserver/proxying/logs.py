"""GET pods/<name>/log: the kubelet's stream, passed on piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ..calls import Answer, Call, Stream
from ..strategies.base import Document
from . import target
from .kubelets import Kubelets, unreachable

if TYPE_CHECKING:
    import aiohttp

_TEXT = b"text/plain"
_ERROR_LIMIT = 65536


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
    return Stream(_pieces(response), _TEXT)


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    import aiohttp

    async with response:
        try:
            async for piece in response.content.iter_any():
                yield piece
        except aiohttp.ClientError:
            return  # the kubelet went away: what came until then is the answer
