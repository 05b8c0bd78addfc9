"""Two controller managers: who leads is stopped, and later killed; the other goes on, and nothing is done twice."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from k8slite.client import Client
from k8slite.config import (
    ControllerManagerConfig,
    LeaderElectionConfig,
    SchedulerConfig,
    SimulatorConfig,
    StoreConfig,
)
from k8slite.kinds.coordination import Lease
from k8slite.kinds.resources import DEPLOYMENTS, LEASES

from .processes import ControlPlane, Program, control_plane
from .test_rollout import deployment, nodes_ready, observed, rolled_out


@dataclass(frozen=True)
class Scale:
    election: LeaderElectionConfig
    stopped: float
    """Seconds."""
    replicas: int
    within: float
    """Seconds until another leads."""


SCALES = [
    pytest.param(
        Scale(
            election=LeaderElectionConfig(lease_duration=3.0, renew_deadline=2.0, retry_period=0.3),
            stopped=6.0,
            replicas=40,
            within=60.0,  # how soon is shown with the shipped settings
        ),
        id="small",
    ),
    pytest.param(
        Scale(election=LeaderElectionConfig(), stopped=30.0, replicas=1000, within=17.0),
        id="large",
        marks=[pytest.mark.chaos, pytest.mark.timeout(600)],
    ),
]


async def leader(client: Client, *, other_than: str = "") -> str:
    """Who holds the Lease, as soon as it is somebody else."""

    def holder(found: list[Lease]) -> str:
        return found[0].spec.holder_identity if found else ""

    async with asyncio.timeout(120):
        while True:
            named = "metadata.name=kube-controller-manager"
            found = (await client.list(LEASES, namespace="kube-system", field_selector=named)).items
            if (name := holder(found)) not in ("", other_than):
                return name
            await asyncio.sleep(0.02)


def managers(plane: ControlPlane, scale: Scale) -> dict[str, Program]:
    """Two of them, and the rest of the cluster; by process id."""
    simulators = plane.kubeconfig("simulator", user="k8slite:simulator", groups=["k8slite:simulators"])
    plane.run("simulator", SimulatorConfig(name="simulated", kubeconfig=simulators, nodes=10, port=0))
    scheduler = plane.kubeconfig("scheduler", user="system:kube-scheduler")
    alone = LeaderElectionConfig(enabled=False)
    plane.run("scheduler", SchedulerConfig(kubeconfig=scheduler, leader_election=alone))
    config = ControllerManagerConfig(
        kubeconfig=plane.kubeconfig("manager", user="system:kube-controller-manager"), leader_election=scale.election
    )
    found = [plane.run("controller-manager", config, label=f"controller-manager-{number}") for number in range(2)]
    return {str(program.process.pid): program for program in found if program.process is not None}


@pytest.mark.parametrize("scale", SCALES)
async def test_the_leader_is_stopped_and_killed(tmp_path: Path, scale: Scale) -> None:
    store = StoreConfig(engine="sqlite", path=tmp_path / "store.db")
    with control_plane(tmp_path, store) as plane:
        await plane.ready()
        programs = managers(plane, scale)
        async with plane.admin() as client, observed(client) as observer:
            await nodes_ready(client, 10)
            first = await leader(client)
            stopped = programs[first.split("_")[1]]
            await client.create(DEPLOYMENTS, deployment(scale.replicas), namespace="default")
            await observer.until(lambda: len(observer.made) > scale.replicas // 10)

            # In the middle of its work, so that whatever it was about to do is decided and not done.
            assert stopped.process is not None
            stopped.process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            second = await leader(client, other_than=first)
            took = time.monotonic() - began
            assert took <= scale.within, f"another leads after {took:.1f} s"
            await rolled_out(client, scale.replicas)
            assert len(observer.made) == scale.replicas, "nobody was made twice"

            await asyncio.sleep(max(scale.stopped - (time.monotonic() - began), 0.0))
            stopped.process.send_signal(signal.SIGCONT)
            code = await asyncio.to_thread(stopped.process.wait, 60)
            assert code == 1, "who lost the Lease ends, to begin anew"
            stopped.start()
            changed = [{"op": "replace", "path": "/spec/replicas", "value": scale.replicas + 10}]
            path = DEPLOYMENTS.path(namespace="default", name="web")
            await client.request("PATCH", path, body=changed, content_type="application/json-patch+json")
            await rolled_out(client, scale.replicas + 10)
            assert len(observer.made) == scale.replicas + 10, "who was stopped made nobody when it went on"
            assert observer.most == scale.replicas + 10

            changed[0]["value"] = scale.replicas + 30
            await client.request("PATCH", path, body=changed, content_type="application/json-patch+json")
            programs[second.split("_")[1]].kill()
            began = time.monotonic()
            await leader(client, other_than=second)
            took = time.monotonic() - began
            assert took <= scale.within, f"another leads after {took:.1f} s"
            await rolled_out(client, scale.replicas + 30)
            assert len(observer.made) == scale.replicas + 30
