"""What probes and lifecycle hooks do: run a command, ask over HTTP, connect, or wait."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass

import aiohttp

from k8slite.clock import Clock
from k8slite.kinds.core import Container, GRPCAction, Handler, HTTPGetAction, IntOrString

from .runtime.base import ContainerRuntime, RuntimeFault

log = logging.getLogger(__name__)

_AGENT = "kube-probe/1.37"
_BODY_LIMIT = 10 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went; the message says why not."""

    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What a handler is aimed at."""

    container: Container
    container_id: str
    pod_ip: str


class Handlers:
    """Runs handlers; HTTP and TCP go to the pod's address from the node's network."""

    def __init__(self, runtime: ContainerRuntime, *, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def run(self, handler: Handler, target: Target, *, timeout: float) -> Outcome:
        """Carry out a handler; every fault is an outcome, none is raised."""
        try:
            if handler.exec is not None:
                return await self._exec(handler.exec.command, target, timeout)
            async with asyncio.timeout(timeout):
                if handler.http_get is not None:
                    return await self._http(handler.http_get, target)
                if handler.tcp_socket is not None:
                    port = port_number(handler.tcp_socket.port, target.container)
                    return await _connect(handler.tcp_socket.host or target.pod_ip, port)
                if handler.grpc is not None:
                    return await _grpc(handler.grpc, target)
                if handler.sleep is not None:
                    await self._clock.sleep(handler.sleep.seconds)
                    return Outcome(True)
        except TimeoutError:
            return Outcome(False, "context deadline exceeded")
        except (RuntimeFault, ValueError) as fault:
            return Outcome(False, str(fault))
        except Exception as fault:
            # A probe that ended by it would leave its container unready for ever, and nobody would know why.
            log.exception("container %s: %s", target.container.name, handler)
            return Outcome(False, f"{type(fault).__name__}: {fault}")
        return Outcome(False, "no action is set")

    async def _exec(self, command: list[str], target: Target, timeout: float) -> Outcome:
        result = await self._runtime.exec_sync(target.container_id, command, timeout=timeout)
        if result.timed_out:
            return Outcome(False, f'command timed out: "{" ".join(command)}" timed out after {timeout:g}s')
        return Outcome(result.exit_code == 0, result.output.decode(errors="replace").strip())

    async def _http(self, action: HTTPGetAction, target: Target) -> Outcome:
        host = action.host or target.pod_ip
        port = port_number(action.port, target.container)
        bracketed = f"[{host}]" if ":" in host else host
        url = f"{action.scheme.lower()}://{bracketed}:{port}/{action.path.removeprefix('/')}"
        headers = {"User-Agent": _AGENT, "Accept": "*/*", "Connection": "close"}
        headers |= {header.name: header.value for header in action.http_headers}
        try:
            async with self._http_session().get(url, headers=headers, allow_redirects=False, ssl=False) as answer:
                await answer.content.read(_BODY_LIMIT)
                ok = 200 <= answer.status < 400
                return Outcome(ok, f"HTTP probe failed with statuscode: {answer.status}" if not ok else "")
        except (aiohttp.ClientError, OSError) as error:
            return Outcome(False, f'Get "{url}": {_cause(error)}')

    def _http_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        """Close the HTTP session."""
        if self._session is not None:
            await self._session.close()


def port_number(port: IntOrString, container: Container) -> int:
    """A port by number, or by the name that the container gives it. Raises ValueError."""
    if isinstance(port, int):
        return port
    for declared in container.ports:
        if declared.name == port:
            return declared.container_port
    if port.isdigit():
        return int(port)
    raise ValueError(f'couldn\'t find port: "{port}"')


def _cause(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"dial tcp {error.host}:{error.port}: connect: {_system_text(error.os_error)}"
    return str(error) or type(error).__name__


def _system_text(error: OSError) -> str:
    """What the kernel says; the event loop has its own words."""
    return os.strerror(error.errno).lower() if error.errno else str(error).lower()


async def _connect(host: str, port: int) -> Outcome:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Outcome(False, f"dial tcp {host}:{port}: connect: {_system_text(error)}")
    writer.close()
    return Outcome(True)


async def _grpc(action: GRPCAction, target: Target) -> Outcome:
    """`grpc.health.v1.Health/Check`; the two messages are small enough to be written by hand."""
    import grpc  # only pods with such probes pay for it

    name = action.service.encode()
    request = b"\x0a" + bytes([len(name)]) + name if name else b""
    async with grpc.aio.insecure_channel(f"{target.pod_ip}:{action.port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer: bytes = await check(request)
        except grpc.aio.AioRpcError as error:
            return Outcome(False, f"error: health rpc failed: {error.details()}")
    return Outcome(
        answer == b"\x08\x01", "" if answer == b"\x08\x01" else "service unhealthy (responded with NOT_SERVING)"
    )
