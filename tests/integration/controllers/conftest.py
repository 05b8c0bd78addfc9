"""A real API server, the real controllers, and puppets for the rest of the cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.manager import manage
from k8slite.kinds.base import K, ResourceType
from k8slite.kinds.resources import NODES
from k8slite.testing import RunningServer, running_server

from .puppets import Puppets


@dataclass
class Cluster:
    server: RunningServer
    client: Client
    puppets: Puppets

    async def until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        """Look again and again until what is seen is true; returned as it is."""
        async with asyncio.timeout(20):
            while not (seen := await look()):  # noqa: ASYNC110 - the state is the server's, which signals nothing
                await asyncio.sleep(0.02)
        return seen

    async def get(self, resource: ResourceType[K], name: str, namespace: str = "default") -> K | None:
        found = await self.client.list(
            resource, namespace=namespace if resource.namespaced else "", field_selector=f"metadata.name={name}"
        )
        return next(iter(found.items), None)

    async def list(self, resource: ResourceType[K], selector: str = "", namespace: str = "default") -> list[K]:
        return (await self.client.list(resource, namespace=namespace, label_selector=selector)).items


@pytest.fixture
def grace() -> float:
    """Seconds that a node may be silent; modules may say otherwise."""
    return 40.0


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings of the API server; modules may say otherwise."""
    return {}


@pytest.fixture
def manager() -> dict[str, Any]:
    """More settings of the controller manager; modules may say otherwise."""
    return {}


@pytest.fixture
async def cluster(tmp_path, grace, settings, manager) -> AsyncIterator[Cluster]:
    async with running_server(serviceaccounts=False, **settings) as server, contextlib.AsyncExitStack() as stack:
        identity = server.client_config("system:kube-controller-manager")
        acting = await stack.enter_async_context(Client(identity))
        admin = await stack.enter_async_context(Client(server.admin))
        certificate = tmp_path / "ca.crt"
        certificate.write_text("the CA\n")
        config = ControllerManagerConfig(
            kubeconfig=tmp_path / "unused",
            root_ca_file=certificate,
            cluster_signing_cert_file=server.authority.pair.cert_file,
            cluster_signing_key_file=server.authority.pair.key_file,
            service_account_private_key_file=server.config.service_account_key_file,
            node_monitor_grace_period=grace,
            **manager,
        )
        puppets = Puppets(admin)
        tasks = [
            asyncio.create_task(manage(acting, config, clock=SystemClock())),
            asyncio.create_task(puppets.run()),
        ]
        try:
            for name in ("n1", "n2"):
                await admin.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
            yield Cluster(server, admin, puppets)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
