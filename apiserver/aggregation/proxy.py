"""Passing a request on to the server behind an APIService, and its answer back, as they come.

The request was authenticated and authorized here; what the other server learns of its client says `headers.py`.

Source: Kubernetes' kube-aggregator, pkg/apiserver/handler_proxy.go.
"""

from __future__ import annotations

import asyncio
import string
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from k8slite.errors import ApiError

from ..authn.base import User
from ..backends import BackendError, Backends, Target
from ..calls import Receive, Scope, Send
from ..proxying import joining
from ..wire.connection import HANDOVER
from ..wire.request import RequestInfo
from .headers import HOP_BY_HOP, request_headers, user_headers

_SAFE = "/:@!$&'()*+,;=~-._"
_SAFE_IN_QUERY = string.punctuation
_LONG = frozenset({"exec", "attach", "log", "portforward", "proxy"})
_TIMEOUT = 60.0
"""Seconds that another server has for what is not long."""
_NOT_BACK = HOP_BY_HOP | {b"audit-id", b"date"}
UNAVAILABLE = "service unavailable"


@dataclass(frozen=True, slots=True)
class Passing:
    """A request that may go on: who asks for what, the body, the connection that it came by, and its name in logs."""

    info: RequestInfo
    user: User
    body: bytes
    scope: Scope
    receive: Receive
    send: Send
    audit_id: bytes

    @property
    def timeout(self) -> float | None:
        """Seconds until it must be answered, None for what goes on as long as the client likes."""
        return None if self.info.verb == "watch" or self.info.subresource in _LONG else _TIMEOUT


class _Answer:
    """How far the answer is that goes to the client."""

    status = 0
    """Nothing has gone out while it is 0."""
    sized = False
    """Its length was announced: nothing shorter is a whole."""


async def pass_on(backends: Backends, target: Target, passing: Passing, *, ending: asyncio.Event) -> int:
    """Answer on the connection itself, of what is long until `ending` at most; the status that went out.

    Whatever the other server does, or leaves undone: it is left as soon as the client is gone.
    """
    scope = passing.scope
    path = quote(scope["path"], safe=_SAFE)
    if query := scope["query_string"]:
        path += "?" + quote(query, safe=_SAFE_IN_QUERY)
    audit = ("Audit-Id", passing.audit_id.decode("latin-1"))
    try:
        headers = [*request_headers(scope), audit, *user_headers(passing.user)]
    except ValueError as error:
        return await answer_text(passing.send, 503, f"error trying to reach service: {error}")
    if joining.wanted(passing):
        return await _join(backends, target, passing, path=path, headers=headers)
    answer = _Answer()
    exchange = asyncio.ensure_future(_exchange(backends, target, passing, answer, path=path, headers=headers))
    ends: list[asyncio.Future[Any]] = [exchange, asyncio.ensure_future(_disconnected(passing.receive))]
    if passing.timeout is None:
        ends.append(asyncio.ensure_future(ending.wait()))
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
    refusal = _refusal(exchange, answer)
    if refusal is not None:
        return await answer_text(passing.send, *refusal)
    if exchange.cancelled() and answer.sized:
        _cut_off(passing)
    elif exchange.cancelled() or exchange.exception() is None:
        await passing.send({"type": "http.response.body", "body": b"", "more_body": False})
    else:  # cut off there, cut off here: an end in good order would make the part look whole
        _cut_off(passing)
    return answer.status


def _refusal(exchange: asyncio.Future[None], answer: _Answer) -> tuple[int, str] | None:
    """What the client is told if nothing has gone out yet; the exchange is done. Raises what is no fault of theirs."""
    error = None if exchange.cancelled() else exchange.exception()
    if error is not None and not isinstance(error, ApiError | BackendError):
        raise error
    if answer.status:
        return None
    if isinstance(error, _Redirected):
        return 502, str(error)
    if isinstance(error, BackendError):
        return 503, f"error trying to reach service: {error}"
    return 503, UNAVAILABLE


def _cut_off(passing: Passing) -> None:
    passing.scope["state"][HANDOVER]()[1].transport.abort()


class _Redirected(BackendError):
    """The other server sends the client elsewhere, which would be with our certificate, or past our checks."""

    def __init__(self) -> None:
        super().__init__("the backend attempted to redirect this request, which is not permitted")


async def _exchange(
    backends: Backends,
    target: Target,
    passing: Passing,
    answer: _Answer,
    *,
    path: str,
    headers: list[tuple[str, str]],
) -> None:
    """All of an answer but its end. Raises ApiError, BackendError."""
    async with backends.request(
        target,
        passing.info.method,
        path=path,
        headers=headers,
        body=passing.body or None,
        timeout=passing.timeout,
        decompress=False,
    ) as response:
        if 300 <= response.status < 400 and response.status != 304:
            raise _Redirected
        kept = [(name.lower(), value) for name, value in response.raw_headers if name.lower() not in _NOT_BACK]
        kept.append((b"audit-id", passing.audit_id))
        answer.status = response.status
        answer.sized = any(name == b"content-length" for name, _ in kept)
        await passing.send({"type": "http.response.start", "status": response.status, "headers": kept})
        # An empty piece lets the headers leave now: a watch may have nothing to say for long.
        await passing.send({"type": "http.response.body", "body": b"", "more_body": True})
        async for piece in response.content.iter_any():
            await passing.send({"type": "http.response.body", "body": piece, "more_body": True})


async def _join(
    backends: Backends, target: Target, passing: Passing, *, path: str, headers: list[tuple[str, str]]
) -> int:
    assert target.service is not None
    try:
        place = backends.resolve(target.service)
        context = backends.context(target.trust)
        there = joining.Place(place.host, place.port, path.encode(), context, place.server_name)
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        raw.append((b"host", f"{target.service.host}:{target.service.port}".encode()))
        refused = await joining.join(passing, there, raw)
    except ApiError:
        return await answer_text(passing.send, 503, UNAVAILABLE)
    except (BackendError, joining.Unreachable) as error:
        return await answer_text(passing.send, 503, f"error trying to reach service: {error}")
    if refused is None:
        return 101
    if refused.status < 400:
        redirects = refused.status >= 300 and refused.status != 304
        text = str(_Redirected()) if redirects else f"invalid upgrade response: status code {refused.status}"
        return await answer_text(passing.send, 502 if redirects else 503, text)
    kept = [pair for pair in refused.headers if pair[0] not in HOP_BY_HOP and pair[0] != b"content-length"]
    kept.append((b"content-length", b"%d" % len(refused.body)))
    await passing.send({"type": "http.response.start", "status": refused.status, "headers": kept})
    await passing.send({"type": "http.response.body", "body": refused.body})
    return refused.status


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer_text(send: Send, status: int, text: str) -> int:
    """A plain text instead of the other server's answer; returns the status."""
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status
