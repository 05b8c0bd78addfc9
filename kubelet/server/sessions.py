"""exec and attach: a process's streams, joined to a client's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ..runtime.base import ContainerRuntime, RuntimeFault, Session
from .lookup import Containers, LookupFault
from .upgrade import Finished, open_websocket, spdy, stream_protocol, subprotocol, wants_spdy
from .wires import CHANNELS, STREAMS, SpdyWire, WebSocketWire, Wire, gather

log = logging.getLogger(__name__)

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NAMES = {"stdin": ("stdin", "input"), "stdout": ("stdout", "output"), "stderr": ("stderr", "error"), "tty": ("tty",)}


def final_status(exit_code: int | None) -> dict[str, Any]:
    """The Status that ends a session."""
    if not exit_code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: command terminated with exit code {exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }


def _wanted(request: web.Request) -> dict[str, bool]:
    """Which of stdin, stdout, stderr and tty the client asks for; a terminal has no error output of its own."""
    found = {key: any(request.query.get(name, "") in ("1", "true") for name in names) for key, names in _NAMES.items()}
    found["stderr"] = found["stderr"] and not found["tty"]
    return found


def exec_handler(containers: Containers, runtime: ContainerRuntime) -> Route:
    """The handler of `/exec/{namespace}/{pod}/{container}`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        container = await containers.running(request)
        command = request.query.getall("command", [])
        if not command:
            raise LookupFault(400, "you must specify at least 1 command for the container")
        wanted = _wanted(request)

        async def open_session() -> Session:
            return await runtime.exec(container.id, command, **wanted)

        return await _converse(request, open_session, wanted)

    return serve


def attach_handler(containers: Containers, runtime: ContainerRuntime) -> Route:
    """The handler of `/attach/{namespace}/{pod}/{container}`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        container = await containers.running(request)
        wanted = _wanted(request)
        streams = {key: value for key, value in wanted.items() if key != "tty"}

        async def open_session() -> Session:
            return await runtime.attach(container.id, **streams)

        return await _converse(request, open_session, wanted)

    return serve


async def _converse(
    request: web.Request, open_session: Callable[[], Awaitable[Session]], wanted: dict[str, bool]
) -> web.StreamResponse:
    """The process is begun before the upgrade, so that a refusal is still an answer of HTTP."""
    names = [name for name in ("stdin", "stdout", "stderr") if wanted[name]]
    if wants_spdy(request):
        protocol = stream_protocol(request, STREAMS)
        if wanted["tty"] and protocol.startswith(("v3.", "v4.")):
            names.append("resize")
        session = await open_session()
        try:
            async with spdy(request, protocol) as connection:
                streams = await gather(connection, {"error", *names})
                await _join(SpdyWire(connection, streams, protocol), session, request)
        except LookupFault as fault:
            log.warning("%s: %s", request.path, fault)
        finally:
            await session.close()
        return Finished()
    protocol = subprotocol(request, CHANNELS)
    session = await open_session()
    try:
        socket = await open_websocket(request, protocol)
        wire = WebSocketWire(socket, protocol)
        try:
            await wire.greet(names)
            await _join(wire, session, request)
        finally:
            with contextlib.suppress(ConnectionError):
                await socket.close()
    finally:
        await session.close()
    return socket


async def _join(wire: Wire, session: Session, request: web.Request) -> None:
    talking = asyncio.ensure_future(_output(wire, session))
    listening = asyncio.ensure_future(wire.carry_input(session))
    try:
        # A client that hangs up ends the session; the end of its input alone does not.
        await asyncio.wait({talking, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (talking, listening):
            task.cancel()
        for outcome in await asyncio.gather(talking, listening, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
                log.warning("%s: %s", request.path, outcome)


async def _output(wire: Wire, session: Session) -> None:
    """Carry output to its end, and say how the process ended."""
    try:
        async for item in session.output():
            await wire.send(item.stream, item.data)
        status = final_status(await session.exit_code())
    except RuntimeFault as fault:
        # An end without a status would look like success.
        text = f"Internal error occurred: {fault}"
        status = {"metadata": {}, "status": "Failure", "message": text, "reason": "InternalError", "code": 500}
    await wire.finish(status)
