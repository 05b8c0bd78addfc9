"""Serving the application: sockets, TLS, and an orderly end.

uvicorn does HTTP (httptools, see `connection.py`) and WebSockets over uvloop. Two things differ from its server's
defaults. Nothing ticks: uvicorn's loop wakes ten times a second to look at flags and the clock, ours waits for its
cancellation. And the end has an order: `drain` is told first (readyz fails, answers close their connections), then
nobody more is let in and watches end (`part`), then requests under way may finish.

A client certificate is optional; one that no CA of ours signed ends the handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvicorn

from k8slite import sockets
from k8slite.config import ApiServerConfig
from k8slite.doorway import Doorway

from .connection import ConnectionProtocol, guests_among
from .tls import tls_context

_LINGER, _ARRIVAL = 0.25, 2.0
"""Seconds for whoever was let in last: his request may be on its way; and if his handshake is not over yet."""
_STREAMS = 5.0
"""Seconds until answers that have begun and do not end are cut."""
_IDLE_CONNECTION = 180
"""Seconds that an idle connection is kept: longer than clients keep theirs, so that they are the ones to close it."""

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


async def serve_app(
    app: Any,
    *,
    config: ApiServerConfig,
    ready: Callable[[Sequence[Address]], None] = lambda addresses: None,
    drain: Callable[[], None] = lambda: None,
    part: Callable[[], None] = lambda: None,
    sockets: Sequence[socket.socket] = (),
) -> None:
    """Serve until cancelled. A second cancellation cuts the configuration's delay short, a third one the rest.

    Raises OSError when an address cannot be bound.

    `ready` gets the addresses as soon as they accept connections. `drain` is called when the end begins: from
    then on each answer closes its connection, so that clients go elsewhere. `part` is called after the configuration's
    delay: what would go on without end must end then, and nothing new is accepted. Sockets bound before (`bind`) may be
    given, so that a program can fail early, before it opens its store.
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
        timeout_graceful_shutdown=math.ceil(config.shutdown_grace),
        ssl_context_factory=lambda *_: context,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_says_more_than_that_a_websocket_was_refused)
    logging.getLogger("asyncio").addFilter(_says_more_than_that_a_client_left)
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    await server.startup(sockets=[])
    door = Doorway(
        listening,
        context=context,
        make=lambda: ConnectionProtocol(settings, server.server_state, server.lifespan.state),
        taken=lambda: len(server.server_state.connections),
        guests=lambda: guests_among(server.server_state.connections),
        most=config.max_connections,
    )
    door.open()
    addresses: list[Address] = [opened.getsockname()[:2] for opened in listening]
    _log.info("serving on %s", ", ".join(f"https://{_host(host)}:{port}" for host, port in addresses))
    ready(addresses)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        drain()
        server.server_state.draining = True  # type: ignore[attr-defined]
        hurry = asyncio.Event()
        leaving = asyncio.create_task(_leave(server, door, listening, part=part, delay=_up_to(config, hurry)))
        while not leaving.done():
            try:
                await asyncio.shield(leaving)
            except asyncio.CancelledError:
                if hurry.is_set():
                    leaving.cancel()
                    raise
                hurry.set()
        _log.info("stopped serving")


async def _up_to(config: ApiServerConfig, hurry: asyncio.Event) -> None:
    """The time in which clients notice that the server is to end."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hurry.wait(), config.shutdown_delay)


async def _leave(
    server: uvicorn.Server,
    door: Doorway,
    listening: Sequence[socket.socket],
    *,
    part: Callable[[], None],
    delay: Coroutine[Any, Any, None],
) -> None:
    await delay
    door.close()
    for each in listening:
        each.close()
    for connection in guests_among(server.server_state.connections):
        connection.finish()
    part()
    await asyncio.sleep(_LINGER)
    await door.empty(within=_ARRIVAL)
    part()  # for those who have come meanwhile
    cutting = asyncio.get_running_loop().call_later(_STREAMS, _cut_streams, server)
    await server.shutdown()
    cutting.cancel()


def _cut_streams(server: uvicorn.Server) -> None:
    """Logs that are followed, and whatever else goes on as long as its client likes: nobody waits for their end."""
    for connection in guests_among(server.server_state.connections):
        if connection.streaming:
            connection.transport.close()


_LEFT = ("SSL connection is closed", "socket.send() raised exception.")


def _says_more_than_that_a_client_left(record: logging.LogRecord) -> bool:
    """The event loop complains of each write to a client that has gone; a client could fill the log by that."""
    return record.msg not in _LEFT


def _says_more_than_that_a_websocket_was_refused(record: logging.LogRecord) -> bool:
    """uvicorn takes an answer instead of a handshake for a mistake of ours; anybody could fill the log by that."""
    return record.msg != "ASGI callable returned without completing handshake."


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
