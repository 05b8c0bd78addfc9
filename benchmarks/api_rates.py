"""Create, get and list rates of the API server, with authentication, authorization, admission and validation on."""

from __future__ import annotations

from typing import Any

from . import load, processes
from .context import Context
from .kube import bearer, namespace
from .kubeconfig import Target
from .objects import pod
from .report import Figure, milliseconds

LISTED = 500


async def run(context: Context) -> list[Figure]:
    """Pods that no scheduler knows: what is measured is the API alone."""
    kube = context.kube
    figures = []
    async with namespace(kube, context.name("list")) as ns:
        target = kube.target.with_token(await bearer(kube, ns))
        pods = f"/api/v1/namespaces/{ns}/pods"
        await load.create(target, pods, count=LISTED, body=pod(f"p-{load.NUMBER}", ns))
        for connections in (16, 1):
            figures.append(await _measure(context, target, f"{pods}/p-1", "get a pod", connections))
        figures.append(await _measure(context, target, f"{pods}?limit={LISTED}", f"list {LISTED} pods", 4))
    created = []
    for connections in (16, 1):
        async with namespace(kube, context.name(f"create-{connections}")) as ns:
            target = kube.target.with_token(await bearer(kube, ns))
            pods = f"/api/v1/namespaces/{ns}/pods"
            body = pod(f"p-{load.NUMBER}", ns)
            created.append(await _measure(context, target, pods, "create pods", connections, body=body))
    return created + figures


async def _measure(
    context: Context, target: Target, path: str, what: str, connections: int, *, body: Any = None
) -> Figure:
    before = processes.cpu_seconds(context.pids)
    measured = await load.run(target, path, connections=connections, seconds=context.seconds, body=body)
    used = processes.cpu_seconds(context.pids) - before
    note = f"p50 {milliseconds(measured.p50)}, p99 {milliseconds(measured.p99)}"
    if context.pids:
        note += f", {used / max(measured.requests, 1) * 1e6:.0f} µs of processor time each"
    if measured.errors:
        note += f", {measured.errors} of {measured.requests} failed"
    plural = "s" if connections > 1 else ""
    return Figure(f"{what}, {connections} connection{plural}", measured.rate, "/s", note)
