"""A whole cluster in one process: a real server, scheduler and controllers with their own rights, simulated nodes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from k8slite.client import Client
from k8slite.clock import Clock, SystemClock
from k8slite.config import ControllerManagerConfig, LeaderElectionConfig, SchedulerConfig, SimulatorConfig
from k8slite.controllers.manager import manage
from k8slite.kinds.base import K, ResourceType
from k8slite.kinds.resources import NODES
from k8slite.kubelet.simulated.main import simulate
from k8slite.scheduler.main import serve as schedule
from k8slite.testing import RunningServer, running_server


@dataclass
class SimulatedCluster:
    """What a test works with. `managing` can be cancelled and begun anew by `restart_manager`."""

    server: RunningServer
    client: Client
    config: ControllerManagerConfig
    clock: Clock
    managing: asyncio.Task[None] = field(init=False)

    async def until(self, look: Callable[[], Awaitable[Any]], *, within: float = 60) -> Any:
        """Look again and again until what is seen is true; returned as it is."""
        async with asyncio.timeout(within):
            while not (seen := await look()):  # noqa: ASYNC110 - the state is the server's, which signals nothing
                await asyncio.sleep(0.02)
        return seen

    async def get(self, resource: ResourceType[K], name: str, namespace: str = "default") -> K | None:
        found = await self.client.list(
            resource, namespace=namespace if resource.namespaced else "", field_selector=f"metadata.name={name}"
        )
        return next(iter(found.items), None)

    async def list(self, resource: ResourceType[K], selector: str = "", namespace: str = "default") -> list[K]:
        found = await self.client.list(
            resource, namespace=namespace if resource.namespaced else "", label_selector=selector
        )
        return found.items

    def start_manager(self) -> None:
        self.managing = asyncio.create_task(self._manage())

    async def stop_manager(self) -> None:
        """End the controllers where they are, as a crash would: syncs under way are cut off."""
        self.managing.cancel()
        await asyncio.gather(self.managing, return_exceptions=True)

    async def restart_manager(self) -> None:
        await self.stop_manager()
        self.start_manager()

    async def _manage(self) -> None:
        async with Client(self.server.client_config("system:kube-controller-manager")) as acting:
            await manage(acting, self.config, clock=self.clock)


@contextlib.asynccontextmanager
async def simulated_cluster(
    tmp_path: Path,
    *,
    nodes: int = 3,
    stages: dict[str, Any] | None = None,
    server_settings: dict[str, Any] | None = None,
    simulator_settings: dict[str, Any] | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> AsyncIterator[SimulatedCluster]:
    """A cluster of simulated nodes `sim-0` and on, all Ready. `settings` are the ControllerManagerConfig's.

    `stages` say what becomes of pods (docs/reference/stages.md); unset, they run, or end as their commands say.
    `clock` is the controllers' and the nodes'.
    """
    sim: dict[str, Any] = {"name": "sim", "nodes": nodes, "port": 0, "kubeconfig": tmp_path / "unused"}
    sim |= simulator_settings or {}
    if stages is not None:
        sim["stages_file"] = tmp_path / "stages.yaml"
        sim["stages_file"].write_text(yaml.safe_dump(stages))
    async with (
        running_server(serviceaccounts=False, **(server_settings or {})) as server,
        Client(server.admin) as admin,
        Client(server.client_config("k8slite:simulator", ["k8slite:simulators"])) as player,
    ):
        ca = tmp_path / "ca.crt"
        ca.write_text("the CA\n")
        config = ControllerManagerConfig(
            **{
                "kubeconfig": tmp_path / "unused",
                "root_ca_file": ca,
                "cluster_signing_cert_file": server.authority.pair.cert_file,
                "cluster_signing_key_file": server.authority.pair.key_file,
                "service_account_private_key_file": server.config.service_account_key_file,
            }
            | settings
        )
        cluster = SimulatedCluster(server, admin, config, clock or SystemClock())
        kubeconfig = server.kubeconfig(server.client_config("system:kube-scheduler"))
        scheduling = SchedulerConfig(kubeconfig=kubeconfig, leader_election=LeaderElectionConfig(enabled=False))
        tasks = [
            asyncio.create_task(schedule(scheduling)),
            asyncio.create_task(simulate(SimulatorConfig(**sim), client=player, clock=cluster.clock)),
        ]
        cluster.start_manager()
        try:

            async def ready() -> bool:
                assert not any(task.done() for task in tasks)
                return sum(node.ready for node in (await admin.list(NODES)).items) >= nodes

            await cluster.until(ready)
            yield cluster
        finally:
            await cluster.stop_manager()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
