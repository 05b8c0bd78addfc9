"""A real server, and simulated nodes whose pods use what their annotations say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import SimulatorConfig
from k8slite.kinds.resources import NODES, PODS
from k8slite.kubelet.simulated.main import simulate
from k8slite.pki import Authority
from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

API = "/apis/metrics.k8s.io/v1beta1"


@dataclass
class Metered:
    """What a test works with: nodes `sim-0` and on, on which it puts pods."""

    server: RunningServer
    client: Client
    http: httpx.AsyncClient
    directory: Path

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.server.kubeconfig())

    async def pod(self, name: str, *, node: str = "sim-0", namespace: str = "default", **more: Any) -> None:
        containers = more.pop("containers", [{"name": "main", "image": "x"}])
        metadata = {"name": name, **more}
        spec = {"nodeName": node, "containers": containers}
        body = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec}
        await self.client.create(PODS, body, namespace=namespace)

    async def running(self, *names: str, namespace: str = "default") -> None:
        async def look() -> bool:
            pods = {pod.name: pod for pod in (await self.client.list(PODS, namespace=namespace)).items}
            return all(name in pods and pods[name].status.phase == "Running" for name in names)

        await until(look)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        answer = await self.http.get(f"{API}{path}", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def items(self, path: str, **query: str) -> dict[str, dict[str, Any]]:
        """The items of a list by name."""
        return {item["metadata"]["name"]: item for item in (await self.get(path, **query))["items"]}


async def until(look: Callable[[], Awaitable[Any]], *, within: float = 30) -> Any:
    """Look again and again until what is seen is true; returned as it is."""
    async with asyncio.timeout(within):
        while not (seen := await look()):  # noqa: ASYNC110 - the state is the server's, which signals nothing
            await asyncio.sleep(0.05)
    return seen


def kubelet_settings(authority: Authority) -> dict[str, Any]:
    """Settings of a server that may ask kubelets."""
    pair = authority.issue_client("dialling", user="kube-apiserver-kubelet-client", groups=["system:masters"])
    return {
        "kubelet_ca_file": authority.cert_file,
        "kubelet_client_cert_file": pair.cert_file,
        "kubelet_client_key_file": pair.key_file,
    }


@contextlib.asynccontextmanager
async def metered(directory: Path, *, nodes: int = 2, stages: str = "", **settings: Any) -> AsyncIterator[Metered]:
    authority = Authority.ensure(directory)
    serving = authority.issue_server("simulator", common_name="simulator", hosts=["127.0.0.1"])
    simulator: dict[str, Any] = {
        "name": "sim",
        "nodes": nodes,
        "port": 0,
        "kubeconfig": directory / "unused",
        "cert_file": serving.cert_file,
        "key_file": serving.key_file,
    }
    if stages:
        simulator["stages_file"] = directory / "stages.yaml"
        simulator["stages_file"].write_text(stages)
    async with (
        running_server(directory=directory, **kubelet_settings(authority), **settings) as server,
        Client(server.admin) as admin,
        Client(server.client_config("k8slite:simulator", ["k8slite:simulators"])) as player,
        server.http() as http,
    ):
        playing = asyncio.create_task(simulate(SimulatorConfig(**simulator), client=player, clock=SystemClock()))
        try:

            async def ready() -> bool:
                assert not playing.done()
                return sum(node.ready for node in (await admin.list(NODES)).items) >= nodes

            await until(ready)
            yield Metered(server, admin, http, directory)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[Metered]:
    async with metered(tmp_path) as made:
        yield made
