"""exec and attach over WebSocket: Kubernetes' channel protocol, versions 4 and 5.

Every message begins with a channel: 0 input, 1 output, 2 error output, 3 the final Status, 4 the terminal's size as
JSON; version 5 adds 255, which closes the channel that its one byte names. Source: Kubernetes `remotecommand`
subprotocols `v4.channel.k8s.io` and `v5.channel.k8s.io`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web

from ..runtime.base import ContainerRuntime, Session
from .lookup import Containers, LookupFault

log = logging.getLogger(__name__)

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


def _flag(request: web.Request, *names: str) -> bool:
    return any(request.query.get(name, "") in ("1", "true") for name in names)


def exec_handler(containers: Containers, runtime: ContainerRuntime) -> Route:
    """The handler of `/exec/{namespace}/{pod}/{container}`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        container = await containers.running(request)
        command = request.query.getall("command", [])
        if not command:
            raise LookupFault(400, "you must specify at least 1 command for the container")

        async def open_session() -> Session:
            return await runtime.exec(
                container.id,
                command,
                stdin=_flag(request, "stdin", "input"),
                stdout=_flag(request, "stdout", "output"),
                stderr=_flag(request, "stderr", "error"),
                tty=_flag(request, "tty"),
            )

        return await _converse(request, open_session)

    return serve


def attach_handler(containers: Containers, runtime: ContainerRuntime) -> Route:
    """The handler of `/attach/{namespace}/{pod}/{container}`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        container = await containers.running(request)

        async def open_session() -> Session:
            return await runtime.attach(
                container.id,
                stdin=_flag(request, "stdin", "input"),
                stdout=_flag(request, "stdout", "output"),
                stderr=_flag(request, "stderr", "error"),
            )

        return await _converse(request, open_session)

    return serve


async def _converse(request: web.Request, open_session: Callable[[], Awaitable[Session]]) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0, compress=False)
    if not socket.can_prepare(request):
        raise LookupFault(400, "only WebSocket upgrades are served here")
    session = await open_session()
    try:
        await socket.prepare(request)
        talking = asyncio.ensure_future(_output(socket, session))
        listening = asyncio.ensure_future(_input(socket, session))
        try:
            # A client that hangs up ends the session; the end of its input alone does not.
            await asyncio.wait({talking, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (talking, listening):
                task.cancel()
            for outcome in await asyncio.gather(talking, listening, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
                    log.warning("%s: %s", request.path, outcome)
    finally:
        await session.close()
        with contextlib.suppress(ConnectionError):
            await socket.close()
    return socket


async def _output(socket: web.WebSocketResponse, session: Session) -> None:
    """Carry output to its end, and say how the process ended."""
    async for item in session.output():
        channel = STDERR if item.stream == "stderr" else STDOUT
        await socket.send_bytes(bytes([channel]) + item.data)
    status = json.dumps(final_status(await session.exit_code())).encode()
    await socket.send_bytes(bytes([ERROR]) + status)


async def _input(socket: web.WebSocketResponse, session: Session) -> None:
    """Carry input until the client hangs up."""
    async for message in socket:
        data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        if not data or not isinstance(data, bytes):
            continue
        match data[0]:
            case 0 if len(data) > 1:
                await session.write(data[1:])
            case 4:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    size = json.loads(data[1:])
                    await session.resize(width=int(size["Width"]), height=int(size["Height"]))
            case 255 if data[1:2] == bytes([STDIN]):
                await session.close_input()
