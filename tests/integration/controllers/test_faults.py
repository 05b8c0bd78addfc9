"""What must hold when programs die at the worst moment: everything is finished, nothing is made twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.manager import manage
from k8slite.informer import Informer
from k8slite.kinds.resources import DEPLOYMENTS, PODS
from k8slite.testing import running_server

from .test_workloads import deployment

REPLICAS = 40
SETTINGS = ControllerManagerConfig(kubeconfig=Path("/unused"))


class Watcher:
    """Counts the pods that were ever there, and those that went."""

    def __init__(self, client: Client) -> None:
        self.informer = Informer(client, PODS, clock=SystemClock())
        self.made: set[str] = set()
        self.gone: set[str] = set()
        self.informer.add_handler(self.changed)

    def changed(self, old, new) -> None:
        if new is not None:
            self.made.add(new.uid)
            if new.deleting:
                self.gone.add(new.uid)
        elif old is not None:
            self.gone.add(old.uid)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.made) < count:  # noqa: ASYNC110 - the state is the server's, which signals nothing
                await asyncio.sleep(0.01)


async def kill(*tasks: asyncio.Task[None]) -> None:
    """End tasks as a crash would: again and again until nothing of them is left."""
    while any(not task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)


async def settled(client: Client) -> None:
    async with asyncio.timeout(30):
        while (await client.get(DEPLOYMENTS, "web", namespace="default")).status.replicas != REPLICAS:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_controller_manager_that_dies_while_it_makes_pods(tmp_path):
    async with running_server() as server:
        identity = server.client_config("system:kube-controller-manager")
        async with Client(server.admin) as client, Client(identity) as first, Client(identity) as second:
            watcher = Watcher(client)
            watching = asyncio.create_task(watcher.informer.run())
            await watcher.informer.wait_synced()
            manager = asyncio.create_task(manage(first, SETTINGS, clock=SystemClock()))
            await client.create(DEPLOYMENTS, deployment(replicas=REPLICAS), namespace="default")
            await watcher.until(5)
            await kill(manager)
            await first.close()
            manager = asyncio.create_task(manage(second, SETTINGS, clock=SystemClock()))
            await settled(client)
            await watcher.until(REPLICAS)
            assert len(watcher.made) == REPLICAS
            assert watcher.gone == set()
            await kill(manager, watching)


async def test_an_api_server_that_dies_while_pods_are_made(tmp_path):
    async with running_server(store="sqlite", directory=tmp_path) as server:
        port = server.port
        identity, admin = server.client_config("system:kube-controller-manager"), server.admin
        client, acting = Client(admin), Client(identity)
        watcher = Watcher(client)
        watching = asyncio.create_task(watcher.informer.run())
        manager = asyncio.create_task(manage(acting, SETTINGS, clock=SystemClock()))
        await watcher.informer.wait_synced()
        await client.create(DEPLOYMENTS, deployment(replicas=REPLICAS), namespace="default")
        await watcher.until(5)
    before = set(watcher.made)
    async with running_server(store="sqlite", directory=tmp_path, port=port):
        await settled(client)
        await watcher.until(REPLICAS)
        assert len(watcher.made) == REPLICAS
        assert before < watcher.made
        assert watcher.gone == set()
        await kill(manager, watching)
        await client.close()
        await acting.close()
