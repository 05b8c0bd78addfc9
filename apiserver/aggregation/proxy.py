"""Passing a request on to the server behind an APIService, and its answer back, as they come.

The request was authenticated and authorized here. The other server knows this one by its certificate and learns from
headers who asks; the client's own credentials stay here, and so do headers by which it would name itself.

Source: Kubernetes' kube-aggregator, pkg/apiserver/handler_proxy.go; client-go, transport (authenticating proxy).
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from k8slite.errors import ApiError

from ..authn.base import User
from ..backends import BackendError, Backends, Target
from ..calls import Receive, Scope, Send
from ..proxying import joining
from ..wire.connection import HANDOVER
from ..wire.request import RequestInfo

if TYPE_CHECKING:
    import aiohttp

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"}
    | {b"trailer", b"transfer-encoding", b"upgrade"}
)
_OURS = frozenset({b"authorization", b"host", b"content-length", b"expect", b"x-forwarded-for", b"audit-id"})
_OURS_PREFIXES = (b"x-remote-", b"impersonate-")
_SAFE = "/:@!$&'()*+,;=~-._"
_KEY_SAFE = "!#$&'*+-.^_`|~"
"""Characters of an extra's key that a header name can hold; others are percent-encoded."""
_LONG = frozenset({"exec", "attach", "log", "portforward", "proxy"})
_TIMEOUT = 60.0
"""Seconds that another server has for what is not long."""
_NOT_BACK = _HOP_BY_HOP | {b"audit-id", b"date"}
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


async def pass_on(backends: Backends, target: Target, passing: Passing, *, ending: asyncio.Event) -> int:
    """Answer on the connection itself, of what is long until `ending` at most; the status that went out."""
    scope = passing.scope
    query = scope["query_string"].decode("latin-1")
    path = quote(scope["path"], safe=_SAFE) + (f"?{query}" if query else "")
    audit = ("Audit-Id", passing.audit_id.decode("latin-1"))
    headers = [*request_headers(scope), audit, *user_headers(passing.user)]
    if joining.wanted(passing):
        return await _join(backends, target, passing, path=path, headers=headers)
    begun = False
    try:
        async with backends.request(
            target,
            scope["method"],
            path=path,
            headers=headers,
            body=passing.body or None,
            timeout=passing.timeout,
            decompress=False,
        ) as response:
            if 300 <= response.status < 400 and response.status != 304:
                text = "the backend attempted to redirect this request, which is not permitted"
                return await answer_text(passing.send, 502, text)
            begun = True
            await _pass_back(passing, response, ending=ending)
            return response.status
    except ApiError:
        return await answer_text(passing.send, 503, UNAVAILABLE)
    except BackendError as error:
        if begun:  # cut off there, cut off here: an end in good order would make the part look whole
            scope["state"][HANDOVER]()[1].transport.abort()
            return 200
        return await answer_text(passing.send, 503, f"error trying to reach service: {error}")


async def _join(
    backends: Backends, target: Target, passing: Passing, *, path: str, headers: list[tuple[str, str]]
) -> int:
    assert target.service is not None
    try:
        place = backends.resolve(target.service)
        context = backends.context(target.trust)
        there = joining.Place(place.host, place.port, path.encode(), context, place.server_name)
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        refused = await joining.join(passing, there, raw)
    except ApiError:
        return await answer_text(passing.send, 503, UNAVAILABLE)
    except (BackendError, joining.Unreachable) as error:
        return await answer_text(passing.send, 503, f"error trying to reach service: {error}")
    if refused is None:
        return 101
    kept = [pair for pair in refused.headers if pair[0] not in _HOP_BY_HOP and pair[0] != b"content-length"]
    kept.append((b"content-length", b"%d" % len(refused.body)))
    await passing.send({"type": "http.response.start", "status": refused.status, "headers": kept})
    await passing.send({"type": "http.response.body", "body": refused.body})
    return refused.status


def request_headers(scope: Scope) -> Iterator[tuple[str, str]]:
    """The client's headers that the other server may see, and where the client is."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    named = [value for name, value in headers if name == b"connection"]
    dropped = {token.strip().lower() for value in named for token in value.split(b",")} | _HOP_BY_HOP | _OURS
    for name, value in headers:
        if name not in dropped and not name.startswith(_OURS_PREFIXES):
            yield name.decode("latin-1"), value.decode("latin-1")
    forwarded = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    if client := scope.get("client"):
        forwarded.append(_address(client[0]))
    if forwarded:
        yield "X-Forwarded-For", ", ".join(forwarded)


def user_headers(user: User) -> Iterator[tuple[str, str]]:
    """How an authenticating proxy names a user."""
    yield "X-Remote-User", _value(user.name)
    if user.uid:
        yield "X-Remote-Uid", _value(user.uid)
    for group in user.groups:
        yield "X-Remote-Group", _value(group)
    for key, values in user.extra.items():
        for value in values:
            yield f"X-Remote-Extra-{quote(key, safe=_KEY_SAFE)}", _value(value)


def _value(text: str) -> str:
    """Header values are bytes; a line break would begin another header."""
    return text.replace("\r", " ").replace("\n", " ").encode().decode("latin-1")


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


async def _pass_back(passing: Passing, response: aiohttp.ClientResponse, *, ending: asyncio.Event) -> None:
    headers = [(name.lower(), value) for name, value in response.raw_headers if name.lower() not in _NOT_BACK]
    headers.append((b"audit-id", passing.audit_id))
    await passing.send({"type": "http.response.start", "status": response.status, "headers": headers})
    # An empty piece lets the headers leave now: a watch may have nothing to say for long.
    await passing.send({"type": "http.response.body", "body": b"", "more_body": True})
    pump = asyncio.ensure_future(_pump(passing.send, response))
    tasks = [pump, asyncio.ensure_future(_disconnected(passing.receive))]
    if passing.timeout is None:
        tasks.append(asyncio.ensure_future(_ended(ending)))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not pump.cancelled():
        pump.result()
    await passing.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pump(send: Send, response: aiohttp.ClientResponse) -> None:
    async for piece in response.content.iter_any():
        await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _ended(ending: asyncio.Event) -> None:
    await ending.wait()


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
