"""Serving the application: sockets, TLS, and an orderly end.

uvicorn does HTTP (httptools) and WebSockets over uvloop. Three things differ from its defaults. Each connection carries
its peer's certificate in the ASGI scope. Nothing ticks: uvicorn's loop wakes ten times a second to look at flags and
the clock, ours waits for its cancellation and renews the Date header when a request comes. And the end has an order:
`drain` is told first (readyz fails, watches end), then no connection is accepted, then requests under way may finish.

A client certificate is optional; one that the client CA did not sign ends the handshake.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from k8slite import sockets
from k8slite.config import ApiServerConfig

from .corked import Corked

CERTIFICATE = "client_certificate"
"""`scope["state"][CERTIFICATE]`: the peer's certificate (DER), empty if it showed none."""

_GRACE = 5
"""Seconds that requests under way may take once the server is to end."""
_IDLE_CONNECTION = 180
"""Seconds that an idle connection is kept: longer than clients keep theirs, so that they are the ones to close it."""
_HEADER_LIMIT = 1 << 20

_log = logging.getLogger(__name__)

Address = tuple[str, int]


def bind(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Listening sockets on every address, all on one port (0: any free one). Raises OSError.

    An address that no interface has yet may be bound: the bridge of the pods appears after the server has started.
    """
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            bound.append(sockets.bind(address, port))
            port = bound[-1].getsockname()[1]
    except OSError:
        for opened in bound:
            opened.close()
        raise
    return bound


def tls_context(config: ApiServerConfig) -> ssl.SSLContext:
    """TLS 1.2 or newer, client certificates verified against the client CA where one is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.cert_file, config.key_file)
    context.load_verify_locations(cafile=config.client_ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    # Every connection proves its certificate anew: no session is resumed past a certificate's end.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


class ConnectionProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol; the state that it copies into each scope also holds the peer's certificate."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the certificate once; the handshake is over when a protocol is told of its connection."""
        self.corked = Corked(transport)
        super().connection_made(self.corked)  # type: ignore[arg-type]
        secure = transport.get_extra_info("ssl_object")
        certificate = secure.getpeercert(binary_form=True) if secure is not None else None
        self.app_state = {**self.app_state, CERTIFICATE: certificate or b""}

    def on_headers_complete(self) -> None:
        """The request is known: its answer's head goes out with the body."""
        self.corked.cork = True
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """An answer without a body has gone out too."""
        self.corked.flush()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """A WebSocket's messages are not held."""
        self.corked.cork = False
        self.transport = self.corked.raw
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """A request begins: renew the Date header if a second has passed."""
        super().on_message_begin()
        self._header_bytes = 0
        second = int(time.time())
        if second != getattr(self.server_state, "second", 0):
            self.server_state.second = second  # type: ignore[attr-defined]
            self.server_state.default_headers = [(b"date", formatdate(second, usegmt=True).encode())]

    def on_url(self, url: bytes) -> None:
        """Part of the URL."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _HEADER_LIMIT:
            raise ValueError("request headers too large")

    def _unsupported_upgrade_warning(self) -> None:
        """kubectl's fall-back asks for SPDY; the application answers such a request itself."""


async def serve_app(
    app: Any,
    *,
    config: ApiServerConfig,
    ready: Callable[[Sequence[Address]], None] = lambda addresses: None,
    drain: Callable[[], None] = lambda: None,
    sockets: Sequence[socket.socket] = (),
) -> None:
    """Serve until cancelled. Raises OSError when an address cannot be bound.

    `ready` gets the addresses as soon as they accept connections. `drain` is called when the end begins. Sockets bound
    before (`bind`) may be given, so that a program can fail early, before it opens its store.
    """
    listening = list(sockets) or bind(config.bind_addresses, config.port)
    context = tls_context(config)
    settings = uvicorn.Config(
        app,
        http=ConnectionProtocol,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_IDLE_CONNECTION,
        timeout_graceful_shutdown=_GRACE,
        ssl_context_factory=lambda *_: context,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    await server.startup(sockets=listening)
    addresses: list[Address] = [opened.getsockname()[:2] for opened in listening]
    _log.info("serving on %s", ", ".join(f"https://{_host(host)}:{port}" for host, port in addresses))
    ready(addresses)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        drain()
        await server.shutdown(sockets=listening)
        _log.info("stopped serving")


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
