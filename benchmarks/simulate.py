"""Simulated nodes by the thousand: how soon they are Ready, what they cost at rest, how fast their pods are Running."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from typing import Any

from . import load, processes
from .context import Context
from .kube import Kube, namespace
from .objects import pod
from .report import Figure
from .simulated_nodes import Simulator, joined

NODES = 5000
PODS = 2000, 8000
"""In each of the two rounds. The first is short: nodes whose simulator stands still are given up after 40 s."""
SETTLE, WATCHED = 10.0, 20.0
PATIENCE = 600.0
_NAME = re.compile(rb'"name":\s?"(p\d-\d+)"')
_RUNNING = re.compile(rb'"phase":\s?"Running"')


async def run(context: Context) -> list[Figure]:
    """5,000 nodes join; 2,000 pods that lie bound are let run; 8,000 more are created while the nodes work."""
    kube = context.kube
    async with namespace(kube, context.name("simulate")) as ns, joined(context, ns, count=NODES) as simulator:
        figures = [_ready(context, simulator)]
        await asyncio.sleep(SETTLE)
        figures.append(await _at_rest(context, simulator))
        figures.append(await _let_run(context, ns, simulator))
        figures.append(await _created(context, ns))
        memory = processes.memory([simulator.pid]) / 2**20
        note = f"{NODES} nodes and {sum(PODS)} pods, proportional set size"
        figures.append(Figure("simulator's memory", memory, "MiB", note))
        await _drained(kube, f"/api/v1/namespaces/{ns}/pods")
    return figures


def _ready(context: Context, simulator: Simulator) -> Figure:
    note = f"from the program's start; {(NODES + 1) / simulator.ready:,.0f} nodes/s"
    if context.pids:
        note += f", {simulator.used / NODES * 1e6:.0f} µs of the control plane's processor time each"
    own = processes.cpu_seconds([simulator.pid]) / NODES * 1e6
    return Figure(f"{NODES} simulated nodes ready", simulator.ready, "s", f"{note}, {own:.0f} µs of the simulator's")


async def _at_rest(context: Context, simulator: Simulator) -> Figure:
    own, control = [simulator.pid], context.pids
    before = processes.cpu_seconds(own), processes.cpu_seconds(control)
    await asyncio.sleep(WATCHED)
    used = processes.cpu_seconds(own) - before[0], processes.cpu_seconds(control) - before[1]
    note = f"the simulator's over {WATCHED:.0f} s"
    if control:
        note += f"; the control plane's {used[1] / WATCHED * 100:.1f} %"
    return Figure(f"processor use of {NODES} nodes at rest", used[0] / WATCHED * 100, "% of a core", note)


async def _let_run(context: Context, ns: str, simulator: Simulator) -> Figure:
    """The simulator is stopped while pods are made that name their nodes: what is measured is its part alone."""
    os.kill(simulator.pid, signal.SIGSTOP)
    try:
        made = await load.create(context.kube.target, _pods(ns), count=PODS[0], body=_pod(ns, context, prefix="p1-"))
    finally:
        os.kill(simulator.pid, signal.SIGCONT)
    if made.errors:
        raise RuntimeError(f"{made.errors} pods could not be created")
    began = time.monotonic()
    before = [processes.cpu_seconds(pids) for pids in ([simulator.pid], context.pids)]
    took = await _until_running(context.kube, ns, b"p1-", count=PODS[0]) - began
    after = [processes.cpu_seconds(pids) for pids in ([simulator.pid], context.pids)]
    own, control = ((late - early) / PODS[0] * 1e6 for early, late in zip(before, after, strict=True))
    note = f"{PODS[0]} pods in {took:.2f} s; {own:.0f} µs of the simulator's processor time each"
    if context.pids:
        note += f", {control:.0f} of the control plane's"
    return Figure("from bound to Running", PODS[0] / took, "pods/s", note)


async def _created(context: Context, ns: str) -> Figure:
    """Creation and Running at the same time: the API server does both."""
    began = time.monotonic()
    running = asyncio.create_task(_until_running(context.kube, ns, b"p2-", b"p3-", count=PODS[1]))
    # Two to a node, as a load's numbers choose the nodes.
    bodies = [_pod(ns, context, prefix=prefix) for prefix in ("p2-", "p3-")]
    made = [load.create(context.kube.target, _pods(ns), count=PODS[1] // 2, body=body) for body in bodies]
    rate = sum(one.rate for one in await asyncio.gather(*made))
    took = await running - began
    return Figure("created with a node, until Running", PODS[1] / took, "pods/s", f"created at {rate:,.0f}/s")


async def _until_running(kube: Kube, ns: str, *prefixes: bytes, count: int) -> float:
    """The time at which so many pods with such names were Running."""
    running: set[bytes] = set()
    async with asyncio.timeout(PATIENCE):
        async for line in kube.watch(f"{_pods(ns)}?watch=true&fieldSelector=status.phase%3DRunning"):
            if _RUNNING.search(line) and (found := _NAME.search(line)) and found[1].startswith(prefixes):
                running.add(found[1])
                if len(running) == count:
                    break
    return time.monotonic()


async def _drained(kube: Kube, path: str) -> None:
    """Remove the pods before their nodes go: page by page, as one request for all of them takes long."""
    while True:
        listed = await kube.call("GET", f"{path}?limit=500")
        if not listed["items"]:
            return
        names = iter([item["metadata"]["name"] for item in listed["items"]])

        async def remove(names: Any = names) -> None:
            for name in names:
                await kube.call("DELETE", f"{path}/{name}?gracePeriodSeconds=0")

        await asyncio.gather(*(remove() for _ in range(16)))


def _pods(ns: str) -> str:
    return f"/api/v1/namespaces/{ns}/pods"


def _pod(ns: str, context: Context, *, prefix: str) -> dict[str, Any]:
    body = pod(f"{prefix}{load.NUMBER}", ns)
    body["spec"]["nodeName"] = f"sim-{context.suffix}-{load.NUMBER}"
    return body
