"""Create, get and list rates of the API server, with authentication, authorization, admission and validation on."""

from __future__ import annotations

from . import load
from .context import Context
from .kube import bearer, namespace
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
            measured = await load.run(target, f"{pods}/p-1", connections=connections, seconds=context.seconds)
            figures.append(_figure("get a pod", connections, measured))
        measured = await load.run(target, f"{pods}?limit={LISTED}", connections=4, seconds=context.seconds)
        figures.append(_figure(f"list {LISTED} pods", 4, measured))
    created = []
    for connections in (16, 1):
        async with namespace(kube, context.name(f"create-{connections}")) as ns:
            target = kube.target.with_token(await bearer(kube, ns))
            pods = f"/api/v1/namespaces/{ns}/pods"
            body = pod(f"p-{load.NUMBER}", ns)
            measured = await load.run(target, pods, connections=connections, seconds=context.seconds, body=body)
            created.append(_figure("create pods", connections, measured))
    return created + figures


def _figure(what: str, connections: int, measured: load.Measured) -> Figure:
    note = f"p50 {milliseconds(measured.p50)}, p99 {milliseconds(measured.p99)}"
    if measured.errors:
        note += f", {measured.errors} of {measured.requests} failed"
    plural = "s" if connections > 1 else ""
    return Figure(f"{what}, {connections} connection{plural}", measured.rate, "/s", note)
