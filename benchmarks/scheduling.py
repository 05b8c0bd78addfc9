"""Scheduling rate through the API server: from the first pod created to the last one bound."""

from __future__ import annotations

import asyncio
import re
import time

from . import load, processes
from .context import Context
from .kube import LABEL, Kube, namespace, until
from .objects import node, pod
from .report import Figure

SIZES = ((1000, 3000), (5000, 5000))
_NAME = re.compile(rb'"name":\s?"(p-\d+)"')


async def run(context: Context) -> list[Figure]:
    """1,000 nodes and 3,000 pods, then 5,000 and 5,000. Nobody runs the nodes; their taint keeps other pods off."""
    return [await _schedule(context, nodes, pods) for nodes, pods in SIZES]


async def _schedule(context: Context, nodes: int, pods: int) -> Figure:
    kube = context.kube
    name = context.name(f"schedule-{nodes}")
    async with namespace(kube, name) as ns:
        try:
            await load.create(kube.target, "/api/v1/nodes", count=nodes, body=node(f"{ns}-{load.NUMBER}", ns))
            await until(lambda: _ready(kube, ns), what="all nodes to be ready", every=1.0)
            path = f"/api/v1/namespaces/{ns}/pods"
            # One pod first: when it is bound, the scheduler has seen nodes.
            await kube.call("POST", path, pod("first", ns, scheduler="default-scheduler", selector=ns))
            first = await until(lambda: _bound(kube, f"{path}/first"), what="the first pod's binding", timeout=60)
            version = first["metadata"]["resourceVersion"]
            count = asyncio.create_task(_count(kube, f"{path}?watch=true&resourceVersion={version}", pods))
            used = processes.cpu_seconds(context.pids)
            began = time.monotonic()
            body = pod(f"p-{load.NUMBER}", ns, scheduler="default-scheduler", selector=ns)
            created = await load.create(kube.target, path, count=pods, body=body)
            ended = await asyncio.wait_for(count, 600)
            used = processes.cpu_seconds(context.pids) - used
        finally:
            await kube.call("DELETE", f"/api/v1/nodes?labelSelector={LABEL}%3D{ns}")
    note = f"{pods} pods in {ended - began:.2f} s; created at {created.rate:,.0f}/s"
    if context.pids:
        note += f"; {used / pods * 1e6:.0f} µs of processor time each"
    if created.errors:
        note += f", {created.errors} not created"
    return Figure(f"schedule at {nodes} nodes", pods / (ended - began), "pods/s", note)


async def _ready(kube: Kube, label: str) -> bool:
    nodes = await kube.call("GET", f"/api/v1/nodes?labelSelector={LABEL}%3D{label}")
    return all(taint["key"] == LABEL for node in nodes["items"] for taint in node["spec"]["taints"])


async def _bound(kube: Kube, path: str) -> dict[str, dict[str, str]] | None:
    found: dict[str, dict[str, str]] = await kube.call("GET", path)
    return found if found["spec"].get("nodeName") else None


async def _count(kube: Kube, path: str, pods: int) -> float:
    """The time at which so many pods were seen with a node."""
    bound: set[bytes] = set()
    async for line in kube.watch(path):
        if b'"nodeName":' in line and (found := _NAME.search(line)):
            bound.add(found[1])
            if len(bound) == pods:
                break
    return time.monotonic()
