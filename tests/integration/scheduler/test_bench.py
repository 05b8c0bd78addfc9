"""`make bench-scheduler`, small: every case comes to its end and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.scheduler.cases import CASES
from k8slite.client import Client
from k8slite.config import ControllerManagerConfig, LeaderElectionConfig, SchedulerConfig
from k8slite.controllers.main import serve as manage
from k8slite.kinds.resources import NODES, PODS
from k8slite.scheduler.main import serve
from k8slite.testing.server import running_server

ROOT = Path(__file__).parents[3]


async def bench(*arguments: str) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.scheduler", "--json", *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    figures: list[dict[str, Any]] = json.loads(output)
    return figures


async def test_every_case_decided_alone() -> None:
    figures = await bench("--alone", "--nodes", "20", "--pods", "40")
    assert [figure["name"] for figure in figures] == [f"{case} decided at 20 nodes" for case in CASES]
    for figure in figures:
        if "preemption" not in figure["name"]:
            assert "40 of 40 placed" in figure["note"]


async def test_every_case_through_the_api() -> None:
    async with running_server() as server:
        config = SchedulerConfig(
            kubeconfig=server.kubeconfig(server.client_config("system:kube-scheduler")),
            leader_election=LeaderElectionConfig(enabled=False),
        )
        managing = ControllerManagerConfig(
            kubeconfig=server.kubeconfig(server.client_config("system:kube-controller-manager")),
            leader_election=LeaderElectionConfig(enabled=False),
            controllers=["node-lifecycle-controller", "namespace-controller"],
        )
        programs = [asyncio.create_task(serve(config)), asyncio.create_task(manage(managing))]
        try:
            figures = await bench("--kubeconfig", str(server.kubeconfig(server.admin)), "--nodes", "6", "--pods", "18")
        finally:
            for task in programs:
                task.cancel()
            await asyncio.gather(*programs, return_exceptions=True)
        assert [figure["name"] for figure in figures] == [f"{case} at 6 nodes" for case in CASES]
        assert all("not created" not in figure["note"] for figure in figures)
        async with Client(server.admin) as client:
            assert (await client.list(NODES)).items == []
            assert (await client.list(PODS)).items == []
