"""`proxy` below nodes, pods and services: requests passed on as they come, and their answers passed back.

The client's credentials stay here. Links of the answer are rewritten so that they lead through the proxy
(`rewriting.py`). A request to change the protocol joins the two connections (`joining.py`).

Source: apimachinery, util/proxy (UpgradeAwareHandler, Transport).
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from k8slite.errors import service_unavailable

from ..calls import Call
from ..lookup import Objects
from ..wire.connection import HANDOVER
from . import joining
from .kubelets import Kubelets
from .locations import Location, Locations
from .rewriting import HtmlRewriter, joined, rewrite_url

if TYPE_CHECKING:
    import aiohttp

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
_OWN = frozenset({"authorization", "expect", "x-forwarded-for", "x-forwarded-uri"})
_NOT_BACK = frozenset(
    {"date", "access-control-allow-credentials", "access-control-allow-headers"}
    | {"access-control-allow-methods", "access-control-allow-origin"}
)
"""Of answers: the date is ours, and who may use this server from elsewhere is not for a pod to say."""
_WINDOWS = {"gzip": 31, "deflate": -15}
_UNPACKED = 1 << 20
_AUTO = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class HttpProxy:
    """Passes requests on."""

    def __init__(self, kubelets: Kubelets, *, objects: Objects) -> None:
        self._kubelets = kubelets
        self._locations = Locations(kubelets, objects=objects)

    async def serve(self, call: Call) -> None:
        """Answer on the connection itself. Raises ApiError before the answer begins."""
        location = await self._locations.of(call)
        if joining.wanted(call):
            await self._join(call, location)
            return
        if not call.info.rest and not call.info.path.endswith("/") and call.info.method in ("GET", "HEAD"):
            await _redirect(call)
            return
        body = _Body(call)
        serving = asyncio.ensure_future(self._pass(call, location, body))
        leaving = asyncio.ensure_future(body.client_leaves())
        try:
            await asyncio.wait((serving, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not serving.done():
                serving.cancel()
            await asyncio.gather(serving, leaving, return_exceptions=True)
        if not serving.cancelled():
            serving.result()

    async def _join(self, call: Call, location: Location) -> None:
        target = _target(call).encode()
        place = joining.Place(location.host, location.port, target, self._tls(location), location.server_name)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in _request_headers(call)]
        try:
            refused = await joining.join(call, place, headers)
        except joining.Unreachable as error:
            raise service_unavailable(f"error trying to reach service: {error}") from error
        if refused is not None and refused.status < 400:
            # Neither the change that was asked for nor a refusal: nobody follows it anywhere.
            raise service_unavailable(
                f"error trying to reach service: invalid upgrade response: status code {refused.status}"
            )
        if refused is not None:
            kept = [(name, value) for name, value in refused.headers if _passes_back(name.decode("latin-1"))]
            kept = [pair for pair in kept if pair[0] != b"content-length"]
            kept.append((b"content-length", b"%d" % len(refused.body)))
            await call.send({"type": "http.response.start", "status": refused.status, "headers": kept})
            await call.send({"type": "http.response.body", "body": refused.body})

    def _tls(self, location: Location) -> ssl.SSLContext | None:
        if location.kubelet:
            return self._kubelets.tls
        return self._kubelets.unverified if location.scheme == "https" else None

    async def _pass(self, call: Call, location: Location, body: _Body) -> None:
        import aiohttp
        import yarl

        session = self._kubelets.session if location.kubelet else self._kubelets.workloads
        url = yarl.URL(location.base + _target(call), encoded=True)
        try:
            response = await session.request(
                call.info.method,
                url,
                headers=_request_headers(call),
                data=body.pieces() if body.expected else None,
                allow_redirects=False,
                skip_auto_headers=_AUTO,
                server_hostname=location.server_name or None,
            )
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise service_unavailable(f"error trying to reach service: {error or type(error).__name__}") from error
        async with response:
            await _pass_back(call, response, location)


class _Body:
    """The request's body, as it comes."""

    def __init__(self, call: Call) -> None:
        self._receive = call.receive
        headers = dict(call.scope["headers"])
        self.expected = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self._read = asyncio.Event()
        if not self.expected:
            self._read.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client has left")
            more = message.get("more_body", False)
            if data := message.get("body", b""):
                yield data
        self._read.set()

    async def client_leaves(self) -> None:
        """Return when the client is gone; only what follows the body can tell."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _prefix(call: Call) -> str:
    """The part of the path that is the proxy's: up to the word `proxy`."""
    path, rest = call.info.path.rstrip("/"), call.info.rest.rstrip("/")
    return path.removesuffix(rest).rstrip("/") if rest else path


def _path(call: Call) -> str:
    return joined(call.info.rest + ("/" if call.info.path.endswith("/") else ""))


def _target(call: Call) -> str:
    query = call.scope["query_string"].decode("latin-1")
    return quote(_path(call), safe="/:@!$&'()*+,;=~-._") + (f"?{query}" if query else "")


def _request_headers(call: Call) -> list[tuple[str, str]]:
    sent = joining.without_token(call.scope["headers"])
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent]
    named = {token.strip().lower() for name, value in headers if name == "connection" for token in value.split(",")}
    kept = [(name, value) for name, value in headers if _passes(name) and name not in named]
    seen = [value for name, value in headers if name == "x-forwarded-for"]
    if client := call.scope.get("client"):
        kept.append(("x-forwarded-for", ", ".join([*seen, client[0]])))
    kept.append(("x-forwarded-uri", quote(_prefix(call) + _path(call), safe="/:@!$&'()*+,;=~-._")))
    return kept


def _passes(name: str) -> bool:
    return name not in _HOP_BY_HOP and name not in _OWN and not name.startswith("impersonate-")


def _passes_back(name: str) -> bool:
    return name not in _HOP_BY_HOP and name not in _NOT_BACK


async def _redirect(call: Call) -> None:
    """Pages below need a slash to be relative to."""
    query: bytes = call.scope["query_string"]
    target: bytes = call.scope["raw_path"] + b"/" + (b"?" + query if query else b"")
    headers = [(b"location", target), (b"content-length", b"0")]
    await call.send({"type": "http.response.start", "status": 301, "headers": headers})
    await call.send({"type": "http.response.body", "body": b""})


async def _pass_back(call: Call, response: aiohttp.ClientResponse, location: Location) -> None:
    import aiohttp

    asked = dict(call.scope["headers"]).get(b"host", b"").decode("latin-1")
    server = location.base.partition("://")[2]

    def rewrite(text: str) -> str:
        return rewrite_url(text, prefix=_prefix(call), server=server, asked=asked)

    encoding = response.headers.get("content-encoding", "")
    page = response.content_type == "text/html" and "location" not in response.headers
    rewriter = HtmlRewriter(rewrite) if page and encoding in ("", *_WINDOWS) and call.info.method != "HEAD" else None
    dropped = {"content-length", "content-encoding"} if rewriter is not None else set()
    headers = []
    for raw_name, value in response.raw_headers:
        name = raw_name.decode("latin-1").lower()
        if not _passes_back(name) or name in dropped:
            continue
        if name == "location":
            value = rewrite(value.decode("latin-1")).encode("latin-1")
        headers.append((raw_name.lower(), value))
    await call.send({"type": "http.response.start", "status": response.status, "headers": headers})
    try:
        async for piece in _rewritten(response, rewriter, encoding):
            await call.send({"type": "http.response.body", "body": piece, "more_body": True})
    except (aiohttp.ClientError, zlib.error):
        # Cut off there, cut off here: an end in good order would make the part look whole.
        call.scope["state"][HANDOVER]()[1].transport.abort()
        return
    await call.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _rewritten(
    response: aiohttp.ClientResponse, rewriter: HtmlRewriter | None, encoding: str
) -> AsyncIterator[bytes]:
    if rewriter is None:
        async for piece in response.content.iter_any():
            yield piece
        return
    unpacking = zlib.decompressobj(_WINDOWS[encoding]) if encoding else None
    async for packed in response.content.iter_any():
        while packed:
            piece = packed if unpacking is None else unpacking.decompress(packed, _UNPACKED)
            packed = b"" if unpacking is None else unpacking.unconsumed_tail
            yield rewriter.feed(piece)
    yield rewriter.feed(b"", last=True)
