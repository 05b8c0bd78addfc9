"""Simulated nodes that join the cluster under test for one benchmark."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from . import cluster, processes
from .context import Context, Skipped
from .kube import LABEL, Kube

PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Simulator:
    """The program that plays them: `k8slite simulate`."""

    pid: int
    ready: float
    """Seconds from its start until every node was Ready and took pods."""
    used: float
    """Processor time of the control plane over that, in seconds."""


@asynccontextmanager
async def joined(context: Context, label: str, *, count: int) -> AsyncIterator[Simulator]:
    """So many nodes, `sim-<the context's suffix>-1` and on, as long as the block lasts. Raises Skipped.

    Each has the label LABEL with this value.
    """
    if context.kubeconfig is None:
        raise Skipped("nodes join by a kubeconfig")
    name = f"sim-{context.suffix}"
    nodes = f"/api/v1/nodes?labelSelector={LABEL}%3D{label}"
    version = (await context.kube.call("GET", nodes))["metadata"]["resourceVersion"]
    began, used = time.monotonic(), processes.cpu_seconds(context.pids)
    # One more than counted: the load's numbers begin with 1, the nodes' with 0.
    options = ("--nodes", str(count + 1), "--name", name, "--kubeconfig", str(context.kubeconfig), "--remove")
    process = await asyncio.create_subprocess_exec(
        *cluster.command(),
        "simulate",
        *options,
        "--label",
        f"{LABEL}={label}",
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        seen = _count_nodes(context.kube, f"{nodes}&watch=true&resourceVersion={version}", count=count)
        watching = asyncio.create_task(seen)
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({watching, ended}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if not watching.done():
            watching.cancel()
            raise RuntimeError("the nodes did not get ready")
        ready = watching.result() - began
        yield Simulator(process.pid, ready, processes.cpu_seconds(context.pids) - used)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


async def _count_nodes(kube: Kube, path: str, *, count: int) -> float:
    """The time at which all nodes were Ready and without the taint of new ones."""
    ready: set[str] = set()
    async for line in kube.watch(path):
        node = json.loads(line)["object"]
        if _takes_pods(node):
            ready.add(node["metadata"]["name"])
            if len(ready) > count:
                break
    return time.monotonic()


def _takes_pods(node: dict[str, Any]) -> bool:
    taints = {taint["key"] for taint in node["spec"].get("taints", ())}
    conditions = {one["type"]: one["status"] for one in node.get("status", {}).get("conditions", ())}
    return conditions.get("Ready") == "True" and "node.kubernetes.io/not-ready" not in taints
