"""Answers on the wire: headers, compression, Status objects, streams.

Source: Kubernetes' apiserver, endpoints/handlers/responsewriters; RFC 9110.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import re
from collections.abc import Coroutine, MutableMapping, Sequence
from itertools import accumulate
from typing import Any, TypeVar

import orjson

from k8slite.errors import ApiError

from ..calls import Answer, Receive, Send, Stream
from ..watching.watch import WatchStream
from .connection import Outlet
from .exchange import exchange_of
from .fanout import Delivery, Fanout
from .negotiation import JSON, YAML, Representation, dump_yaml, prettified

_GZIP_FROM = 128 * 1024
_WARNINGS_LIMIT = 4096
_WARNING_CUT = 256
_CACHE_CONTROL = (b"cache-control", b"no-cache, private")
Headers = list[tuple[bytes, bytes]]
Result = TypeVar("Result")


def audit_id() -> bytes:
    """A random UUID as text; it names a request and is no secret."""
    digits = b"%032x" % random.getrandbits(128)
    return b"-".join((digits[:8], digits[8:12], b"4" + digits[13:16], b"a" + digits[17:20], digits[20:]))


def error_answer(error: ApiError) -> Answer:
    """The Status object of an error."""
    return Answer(orjson.dumps(error.status()), error.code)


def with_headers(send: Send, extra: Headers) -> Send:
    """Adds headers to an answer that somebody else makes; what that one says by these names is not ours to pass on."""
    names = {name for name, _ in extra}

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            others = (pair for pair in message.get("headers", ()) if pair[0].lower() not in names)
            message = {**message, "headers": [*extra, *others]}
        await send(message)

    return sending


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no header may hold: warnings repeat what clients wrote."""


def error_headers(error: ApiError) -> Headers:
    """Headers that an error brings: when to try again, how to authenticate."""
    headers: Headers = []
    if error.retry_after and error.code in (429, 503, 504, 500):
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
    if error.code == 401:
        headers.append((b"www-authenticate", b'Bearer realm="kubernetes"'))
    return headers


def warning_headers(warnings: Sequence[str]) -> Headers:
    """One Warning header for each text, each text once.

    Clients take headers of a limited size: if the texts are too long together each is cut, and the last are left out.
    """
    texts = list(dict.fromkeys(warnings))
    if sum(map(len, texts)) > _WARNINGS_LIMIT:
        texts = [text[:_WARNING_CUT] for text in texts]
        sizes = accumulate(map(len, texts), initial=0)
        texts = [text for text, before in zip(texts, sizes, strict=False) if before < _WARNINGS_LIMIT]
    headers: Headers = []
    for text in texts:
        quoted = _CONTROLS.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
        headers.append((b"warning", b'299 - "%b"' % quoted.encode()))
    return headers


async def send_answer(
    send: Send, answer: Answer, *, accept: Representation, accepts_gzip: bool, extra: Headers
) -> None:
    """Send a whole answer. (Of an answer to HEAD the connection sends no body.)"""
    body, content_type = answer.body, answer.content_type
    if content_type == JSON:
        if accept.yaml:
            body, content_type = dump_yaml(body), YAML
        elif accept.pretty:
            body = prettified(body)
    headers: Headers = [(b"content-type", content_type), _CACHE_CONTROL, *extra]
    if answer.worth_gzip and accepts_gzip and len(body) >= _GZIP_FROM:
        # Level 1: lists shrink tenfold at it, and more would cost more than the loopback or a LAN saves.
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers.append((b"content-encoding", b"gzip"))
        headers.append((b"vary", b"Accept-Encoding"))
    headers.append((b"content-length", b"%d" % len(body)))
    if (exchange := exchange_of(send)) is not None:
        await exchange.answer(answer.code, headers, body)
        return
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_head(send: Send, stream: Stream, *, extra: Headers) -> None:
    """Send what a HEAD request wants to know of a stream."""
    await _begin_stream(send, stream, extra)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_stream(receive: Receive, send: Send, stream: Stream, *, extra: Headers) -> None:
    """Send pieces as they come until the iterator ends or the client leaves."""
    await _begin_stream(send, stream, extra)
    await while_connected(_pump(send, stream), gone=disconnected(receive, "http.disconnect"))


async def send_watch(
    receive: Receive, send: Send, stream: Stream, *, watch: WatchStream, outlet: Outlet, fanout: Fanout, extra: Headers
) -> None:
    """The same for a watch whose connection has an outlet: its pieces go there, only head and end through ASGI."""
    await _begin_stream(send, stream, extra)
    delivery = Delivery(watch, outlet=outlet, fanout=fanout)
    gone = asyncio.ensure_future(disconnected(receive, "http.disconnect"))
    gone.add_done_callback(lambda _: delivery.finish())
    delivery.start()
    try:
        await delivery.over
    finally:
        delivery.stop()
        gone.cancel()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _begin_stream(send: Send, stream: Stream, extra: Headers) -> None:
    headers: Headers = [(b"content-type", stream.content_type), _CACHE_CONTROL, *extra]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    # An empty piece makes the headers leave now, though the first event may be long in coming.
    await send({"type": "http.response.body", "body": b"", "more_body": True})


async def _pump(send: Send, stream: Stream) -> None:
    async for piece in stream.chunks:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def while_connected(sending: Coroutine[Any, Any, None], *, gone: Coroutine[Any, Any, None]) -> bool:
    """Send until all is sent (True) or the client has gone (False). Raises what `sending` raises."""
    ended = await unless(sending, gone=gone)
    if ended is None:
        return False
    ended.result()
    return True


async def unless(
    doing: Coroutine[Any, Any, Result], *, gone: Coroutine[Any, Any, None]
) -> asyncio.Future[Result] | None:
    """Do something, and give it ended; None if the client has gone before, and it was given up."""
    tasks = asyncio.ensure_future(doing), asyncio.ensure_future(gone)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return None if tasks[0].cancelled() else tasks[0]


async def disconnected(receive: Receive, message: str) -> None:
    """Return when ASGI tells by that message that the client has gone. Whatever else it says is ignored."""
    while (await receive())["type"] != message:
        pass
