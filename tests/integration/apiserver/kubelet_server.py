"""The kubelet's real server over TLS, with one pod that runs on nothing: sessions echo, ports are this machine's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

from k8slite.clock import SystemClock
from k8slite.config import KubeletConfig
from k8slite.kinds.core import Pod
from k8slite.kubelet.measuring.meter import Meter
from k8slite.kubelet.network import NetworkError
from k8slite.kubelet.runtime.base import ContainerSpec, Output, PodRef, RuntimeFault, SandboxSpec, Session
from k8slite.kubelet.runtime.simulated import SimulatedRuntime
from k8slite.kubelet.server.access import Access
from k8slite.kubelet.server.app import application, serving
from k8slite.pki import Authority


class Echo:
    """A process that writes what it reads, each size it is told, and ends with its input."""

    def __init__(self, *, stdin: bool, code: int | None) -> None:
        self._lines: asyncio.Queue[Output | None] = asyncio.Queue()
        self._code = code
        if not stdin:
            self._lines.put_nowait(Output("stdout", b"out\n"))
            self._lines.put_nowait(Output("stderr", b"err\n"))
            self._lines.put_nowait(None)

    async def output(self) -> AsyncIterator[Output]:
        while line := await self._lines.get():
            yield line

    async def write(self, data: bytes) -> None:
        await self._lines.put(Output("stdout", data))

    async def close_input(self) -> None:
        await self._lines.put(None)

    async def resize(self, *, width: int, height: int) -> None:
        await self._lines.put(Output("stdout", f"{width}x{height}\n".encode()))

    async def exit_code(self) -> int | None:
        if self._code is None:
            raise RuntimeFault("the engine has forgotten it")
        return self._code

    async def close(self) -> None:
        await self._lines.put(None)


class EchoRuntime(SimulatedRuntime):
    """`exit N` ends with that code, `vanish` with none to be had, any other command with 0."""

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Session:
        self._played(container_id)
        code = {"exit": int(command[-1]) if command[-1].isdigit() else 0, "vanish": None}.get(command[0], 0)
        return Echo(stdin=stdin, code=code)

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> Session:
        self._played(container_id)
        return Echo(stdin=stdin, code=0)


class OnePod:
    """Workers of a node with one pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def find(self, namespace: str, name: str) -> Pod | None:
        return self._pod if (namespace, name) == (self._pod.namespace, self._pod.name) else None

    def pods(self) -> list[Pod]:
        return [self._pod]


async def connect(*, pid: int, port: int) -> socket.socket:
    """The pod's localhost is ours."""
    opened = socket.socket()
    opened.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", port))
    except OSError as error:
        opened.close()
        raise NetworkError(f"connect to 127.0.0.1:{port}: refused") from error
    return opened


@contextlib.asynccontextmanager
async def kubelet_server(authority: Authority, document: dict[str, Any], *, api: Any = None) -> AsyncIterator[int]:
    """Serve a pod until the block ends; the port. `api` says who others than the API server are, and what they may."""
    pod = Pod.model_validate(document)
    runtime = EchoRuntime(clock=SystemClock())
    ref = PodRef(pod.uid, pod.name, pod.namespace)
    sandbox = await runtime.create_sandbox(SandboxSpec(ref, hostname=pod.name))
    await runtime.start_sandbox(sandbox)
    for container in pod.spec.containers:
        made = await runtime.create_container(ContainerSpec(ref, container.name, "x"), sandbox_id=sandbox)
        if container.name != "side":
            await runtime.start_container(made)
    pair = authority.issue_server("kubelet", common_name="kubelet", hosts=["127.0.0.1"])
    config = KubeletConfig(
        node_name="n1",
        kubeconfig=authority.cert_file,
        state_dir=authority.cert_file.parent,
        bind_address="127.0.0.1",
        port=0,
        cert_file=pair.cert_file,
        key_file=pair.key_file,
        client_ca_file=authority.cert_file,
    )
    clock = SystemClock()
    app = application(
        workers=OnePod(pod),  # type: ignore[arg-type]
        runtime=runtime,
        clock=clock,
        connect=connect,
        access=Access(api, node="n1", clock=clock),
        measure=Meter(node="n1", runtime=runtime, directory=config.state_dir, clock=clock).measure,
    )
    async with serving(config, app) as port:
        yield port
    await runtime.close()
