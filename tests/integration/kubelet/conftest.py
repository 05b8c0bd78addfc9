"""A real API server, a real kubelet and real Docker: one node of its own for each test module."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import KubeletConfig
from k8slite.errors import ApiError
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import CONFIG_MAPS, NODES, PODS
from k8slite.kubelet.main import run_node
from k8slite.kubelet.network import BridgeNetwork
from k8slite.kubelet.runtime.docker import DockerRuntime
from k8slite.kubelet.volumes import mounts
from k8slite.pki import Authority
from k8slite.testing.images import load_busybox
from k8slite.testing.server import RunningServer, running_server

NODE = "n1"
T = TypeVar("T")
KUBECTL = str(Path(sys.executable).with_name("kubectl"))


@dataclass
class Cluster:
    """What a test does: it makes pods and waits for what the API shows of them."""

    server: RunningServer
    client: Client
    config: KubeletConfig
    runtime: DockerRuntime
    bridge: BridgeNetwork
    kubelet: asyncio.Task[None]
    image: str
    node_client: Client
    cleanup: contextlib.AsyncExitStack
    """Closed when nothing of the test runs any more."""

    async def create(self, name: str, **spec: Any) -> Pod:
        containers = spec.pop("containers", None) or [{"name": "main", **spec.pop("main", {})}]
        for container in (*containers, *spec.get("initContainers", ())):
            container.setdefault("image", self.image)
            if not {"command", "args"} & container.keys():
                container["command"] = ["sleep", "1000"]
        spec = {"nodeName": NODE, "terminationGracePeriodSeconds": 1, **spec, "containers": containers}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        return await self.client.create(PODS, body, namespace="default")

    async def until(self, name: str, holds: Callable[[Pod], bool], *, timeout: float = 20.0) -> Pod:
        """Wait by watching until the pod is as wanted."""
        async with asyncio.timeout(timeout):
            while True:
                listing = await self.client.list(PODS, namespace="default", field_selector=f"metadata.name={name}")
                for pod in listing.items:
                    if holds(pod):
                        return pod
                async for event in self.client.watch(
                    PODS,
                    namespace="default",
                    field_selector=f"metadata.name={name}",
                    resource_version=listing.resource_version,
                ):
                    if event.type != "BOOKMARK" and event.type != "DELETED" and holds(event.object):
                        return event.object

    async def until_gone(self, name: str, *, timeout: float = 20.0) -> None:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    await self.client.get(PODS, name, namespace="default")
                except ApiError as error:
                    assert error.code == 404
                    return
                await asyncio.sleep(0.02)

    async def delete(self, name: str, *, grace: int | None = None) -> None:
        await self.client.delete(PODS, name, namespace="default", grace_period=grace)

    async def start_kubectl(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            KUBECTL,
            f"--kubeconfig={self.server.kubeconfig()}",
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    async def kubectl(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        process = await self.start_kubectl(*arguments)
        async with asyncio.timeout(20):
            out, err = await process.communicate(stdin)
        return process.returncode or 0, out.decode(), err.decode()

    async def stop_kubelet(self) -> None:
        self.kubelet.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.kubelet

    async def start_kubelet(self) -> None:
        self.kubelet = asyncio.ensure_future(
            run_node(
                self.config, client=self.node_client, runtime=self.runtime, network=self.bridge, clock=SystemClock()
            )
        )
        async with asyncio.timeout(10):
            while not (await self.client.get(NODES, NODE)).ready:
                assert not self.kubelet.done(), self.kubelet.exception()
                await asyncio.sleep(0.02)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    tag = uuid.uuid4().hex[:6]
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k8slite-kubelet-")))
        authority = Authority.ensure(directory)
        dialling = authority.issue_client("dialling", user="kube-apiserver-kubelet-client", groups=["system:masters"])
        serving = authority.issue_server("kubelet", common_name="kubelet", hosts=["127.0.0.1"])
        server = await stack.enter_async_context(
            running_server(
                directory=directory,
                kubelet_ca_file=authority.cert_file,
                kubelet_client_cert_file=dialling.cert_file,
                kubelet_client_key_file=dialling.key_file,
            )
        )
        client = await stack.enter_async_context(Client(server.admin))
        node_client = await stack.enter_async_context(
            Client(server.client_config(f"system:node:{NODE}", ["system:nodes"]))
        )
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {"podCIDR": "10.88.1.0/24"}}
        await client.create(NODES, body)
        trust = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}}
        trust["data"] = {"ca.crt": authority.cert_file.read_text()}
        await client.create(CONFIG_MAPS, trust, namespace="default")
        config = KubeletConfig(
            node_name=NODE,
            kubeconfig=directory / "unused",
            state_dir=directory / "state",
            cluster_name=f"kubelet-{tag}",
            port=_free_port(),
            cert_file=serving.cert_file,
            key_file=serving.key_file,
            client_ca_file=authority.cert_file,
            bridge=f"kt{tag}",
            bridge_address="10.88.0.1/16",
        )
        runtime = DockerRuntime(cluster=config.cluster_name, node=NODE)
        bridge = BridgeNetwork(bridge=config.bridge, bridge_address=config.bridge_address)
        kubelet: asyncio.Task[None] = asyncio.ensure_future(asyncio.sleep(0))
        made = Cluster(server, client, config, runtime, bridge, kubelet, load_busybox(), node_client, stack)
        await made.start_kubelet()
        try:
            yield made
        finally:
            await made.stop_kubelet()
            await runtime.close()  # what was under way has ended: now nothing new can appear
            sweeper = DockerRuntime(cluster=config.cluster_name, node=NODE)
            for state in (await sweeper.list()).values():
                await asyncio.gather(*(sweeper.remove_container(c.id) for c in state.containers))
                await asyncio.gather(*(sweeper.remove_sandbox(s.id) for s in state.sandboxes))
            await sweeper.close()
            await bridge.remove_bridge()
            mounts.unmount_all(config.state_dir)


async def until(look: Callable[[], Awaitable[T]], *, within: float = 60.0) -> T:
    """What is seen when it is true."""
    async with asyncio.timeout(within):
        while not (seen := await look()):  # noqa: ASYNC110 - the state is the server's, which signals nothing
            await asyncio.sleep(0.05)
    return seen


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
