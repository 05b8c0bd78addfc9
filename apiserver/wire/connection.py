"""HTTP on one connection: what uvicorn's protocol does, with less work for each request and a way out for watches.

uvicorn parses requests (httptools), keeps connections alive and speaks WebSockets. Five things differ from it here.
Each connection carries its peer's certificate in the ASGI scope. Nothing ticks: the Date header is renewed when a
request comes. Answers leave in as few writes as they can (`exchange.py`). A connection has an `Outlet`, through which
what is the same for many clients goes past ASGI's messages. And clients are held back that do not read what they asked
for (`unsent.py`), or do not wait when they are refused (`restraint.py`).

A request to change the protocol (`Upgrade`) below exec, attach, portforward or proxy, or one that the application says
it passes on to another server (`joins`), is a plain request to the application: whoever serves it takes the connection
over (`HANDOVER`) and joins it to one that speaks that protocol. Any other WebSocket is uvicorn's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from k8slite.takeover import take_over

from . import request
from .exchange import Exchange
from .options import DEFAULT
from .pieces import Pieces
from .restraint import Restraint
from .unsent import Unsent

CERTIFICATE = "client_certificate"
"""`scope["state"][CERTIFICATE]`: the peer's certificate (DER), empty if it showed none."""
OUTLET = "outlet"
"""`scope["state"][OUTLET]`: the connection's `Outlet`; absent under another server."""
HANDOVER = "handover"
"""`scope["state"][HANDOVER]`: gives the connection away as a reader and a writer; nothing more is answered by ASGI."""

HEAD_TIMEOUT = 32.0
"""Seconds in which a new connection's first request must begin, and the head of any request must have come."""
_FAREWELL = 1.0
_LINGER = 2.0
"""Seconds in which a client whose body was refused may read why."""
_SPARE = 16 << 20
"""Bytes of it that are taken meanwhile, and thrown away."""
_HEADER_LIMIT = 1 << 20
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n431 Request Header Fields Too Large"
)
"""In the words of Go's server."""
_JOINED_BELOW = frozenset({"exec", "attach", "portforward", "proxy"})
_EARLY = 64 * 1024
"""Bytes that a client may send of a new protocol before it is told that the change was made."""
_PIPELINED = 16
"""Requests of a connection that may wait for the one under way. Who sends more does not wait for answers at all."""


class Outlet:
    """Writes to a connection in the midst of a chunked answer that ASGI began and will end.

    `on_room` is called when the outlet is no longer full. Whoever holds the answer may set it.
    """

    __slots__ = ("_flow", "abort", "on_room", "owner", "write")

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._flow = flow
        self.write: Callable[[bytes], None] = transport.write
        """Sends chunks as HTTP frames them (`chunk`)."""
        self.abort: Callable[[], None] = transport.abort
        """Ends the connection at once, whatever is still to be sent."""
        self.on_room: Callable[[], None] | None = None
        self.owner = ""
        """The user of the connection's last request, set by whoever finds it out."""

    @property
    def full(self) -> bool:
        """Whether the client is so slow that nothing more should be written."""
        return self._flow.write_paused


class ConnectionProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with our exchanges; the state copied into each scope holds certificate and outlet."""

    _outlet: Outlet | None = None
    _early: bytearray | None = None
    """What came behind a request to change the protocol, which is the last request of its connection."""
    _spare: int | None = None
    """Bytes that may still come of a refused body; None if there was none."""
    _awaiting_head = True
    """Whether the next thing to come is a head, or the rest of one; `_deadline` bounds the wait."""
    _deadline: asyncio.TimerHandle | None = None
    _resting_since: float | None = None
    """When the last answer was written, None while there is something to do."""
    sending: Exchange | None = None
    """The exchange of whose answer something is still to be written."""
    _requests = 0
    _restraint: Restraint | None = None
    _pause: asyncio.TimerHandle | None = None
    """Ends the time in which nothing is read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the certificate once; the handshake is over when a protocol is told of its connection."""
        super().connection_made(transport)
        secure = transport.get_extra_info("ssl_object")
        certificate = secure.getpeercert(binary_form=True) if secure is not None else None
        self._outlet = Outlet(transport, self.flow)
        self.app_state = {
            **self.app_state,
            CERTIFICATE: certificate or b"",
            OUTLET: self._outlet,
            HANDOVER: self._hand_over,
        }
        self._deadline = self.loop.call_later(HEAD_TIMEOUT, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end_deadline()
        if self._pause is not None:
            self._pause.cancel()
        self._unsent.remove(self)
        self._pieces.remove(self)
        if self.sending is not None:
            self.sending.drop()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        # These lead back here: the last request, with its body, would live until the collector comes.
        self.cycle = self.scope = None  # type: ignore[assignment]
        self.app_state = {}

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _hand_over(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.cycle is not None:
            self.cycle.response_started = self.cycle.response_complete = True
        return take_over(self.transport, former=self, early=bytes(self._early or b""))

    def data_received(self, data: bytes) -> None:
        """Parse, but for what is no HTTP any more: that waits for whoever takes the connection over."""
        self._resting_since = None
        if self._spare is not None:
            self._spare -= len(data)
            if self._spare < 0:
                self.transport.close()
            return
        if self._early is None:
            try:
                self.parser.feed_data(data)
                if self._awaiting_head and self._deadline is None:  # most heads come in one go, and need no timer
                    self._deadline = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)
                return
            except httptools.HttpParserError:
                if self._header_bytes > _HEADER_LIMIT:
                    self.transport.write(_TOO_LARGE)
                    self.transport.close()
                else:
                    self.send_400_response("Invalid HTTP request received.")
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                self._early, data = bytearray(), data[upgrade.args[0] :]
        self._early += data
        if len(self._early) > _EARLY:
            self.transport.abort()

    def finish(self) -> None:
        """Whatever is being answered is the last that this connection carries."""
        for exchange in (self.sending, self.cycle):
            if exchange is not None:
                exchange.keep_alive = False

    def shutdown(self) -> None:
        """The server ends: an idle client that does not answer TLS's farewell is not waited for."""
        self.finish()
        if self.sending is not None:
            return
        super().shutdown()
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(_FAREWELL, self.transport.abort)

    @property
    def _unsent(self) -> Unsent:
        """Shared by all connections of the server."""
        state = self.server_state
        unsent: Unsent | None = getattr(state, "unsent", None)
        if unsent is None:
            unsent = state.unsent = Unsent()  # type: ignore[attr-defined]
        return unsent

    @property
    def _pieces(self) -> Pieces:
        """Shared by all connections of the server."""
        state = self.server_state
        pieces: Pieces | None = getattr(state, "pieces", None)
        if pieces is None:
            pieces = state.pieces = Pieces()  # type: ignore[attr-defined]
        return pieces

    @property
    def piece(self) -> int:
        """Bytes of a long answer that are written at once."""
        return self._pieces.size(self)

    @property
    def owner(self) -> str:
        """Whose connection it is, as far as that is known."""
        return self._outlet.owner if self._outlet is not None else ""

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def streaming(self) -> bool:
        """Whether an answer has begun that goes on until its end is reached, or its client leaves."""
        return self.busy and self.cycle.response_started

    def unread(self) -> int:
        """Bytes that the client has not taken yet."""
        sending = self.sending
        return int(self.transport.get_write_buffer_size()) + (sending.unsent if sending is not None else 0)

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def pause_writing(self) -> None:
        """The client does not read: it is not asked for more."""
        super().pause_writing()
        self.flow.pause_reading()
        self._unsent.add(self)

    def resume_writing(self) -> None:
        """The client has read enough of what was written."""
        super().resume_writing()
        self._unsent.remove(self)
        if self.sending is not None:
            self.sending.go_on()
        self._resume_reading()
        if self._outlet is not None and self._outlet.on_room is not None:
            self._outlet.on_room()

    def linger(self) -> None:
        """Close in a while: a client that still sends its body would lose the answer with the connection.

        What comes until then is thrown away.
        """
        self._spare = _SPARE
        self.flow.resume_reading()
        self.loop.call_later(_LINGER, self.transport.close)

    def refused(self) -> None:
        """A request was refused: read no further ones for a while if it came too early after the last one."""
        restraint = self._restraint
        if restraint is None:
            restraint = self._restraint = Restraint()
        seconds = restraint.refused(self._requests, now=self.loop.time())
        if seconds and self._pause is None and not self.transport.is_closing():
            self.flow.pause_reading()
            self._pause = self.loop.call_later(seconds, self._end_pause)

    def _end_pause(self) -> None:
        self._pause = None
        self._resume_reading()

    def _resume_reading(self) -> None:
        if self._pause is None and not self.flow.write_paused and not self.pipeline and not self.transport.is_closing():
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """An answer has been written: the next request may come, if its client reads."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._rest()
        if self.flow.write_paused:
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.tasks.add(self.loop.create_task(cycle.run_asgi(app)))  # it takes itself out

    # A connection that has been idle for long is closed. The timer that sees to it is not set anew at each request: it
    # looks when the last one was.

    def _rest(self) -> None:
        self._resting_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._rest_for(self.timeout_keep_alive)

    def _rest_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for long enough; nothing is to be done if it is not idle."""
        self.timeout_keep_alive_task = None
        if self._resting_since is None:
            return
        left = self._resting_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._rest_for(left)
        else:
            super().timeout_keep_alive_handler()

    def on_message_begin(self) -> None:
        """A request begins: renew the Date header if a second has passed."""
        super().on_message_begin()
        self._awaiting_head = True
        self._header_bytes = 0
        second = int(time.time())
        if second != getattr(self.server_state, "second", 0):
            self.server_state.second = second  # type: ignore[attr-defined]
            self.server_state.default_headers = [(b"date", formatdate(second, usegmt=True).encode())]

    def on_url(self, url: bytes) -> None:
        """Part of the URL."""
        self._header_bytes += len(url)
        if self._header_bytes > _HEADER_LIMIT:
            raise ValueError("request headers too large")
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _HEADER_LIMIT:
            raise ValueError("request headers too large")
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Serve the request, or queue it behind the one under way."""
        self._awaiting_head = False
        if self._deadline is not None:
            self._end_deadline()
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        upgrades = parser.should_upgrade()
        if upgrades and self._should_upgrade():
            return
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        under_way = self.cycle
        exchange = self.cycle = Exchange(
            scope,
            self,
            keep_alive=version != "1.0"
            and parser.should_keep_alive()
            and not upgrades
            and not getattr(self.server_state, "draining", False),
            expects_100=self.expect_100_continue,
        )
        self._requests += 1
        if under_way is None or (under_way.response_complete and self.sending is None):
            self._start_asgi_task(exchange, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))
            if len(self.pipeline) > _PIPELINED:
                self.transport.abort()

    def _should_upgrade(self) -> bool:
        if not super()._should_upgrade():
            return False
        path = unquote(self.url.partition(b"?")[0].decode("latin-1"))
        info = request.parse("GET", path, DEFAULT)
        joins = getattr(self.config.app, "joins", None)
        return info.subresource not in _JOINED_BELOW and not (joins is not None and joins(info))


def guests_among(connections: Iterable[object]) -> list[ConnectionProtocol]:
    """Those connections that speak HTTP."""
    return [connection for connection in connections if isinstance(connection, ConnectionProtocol)]
