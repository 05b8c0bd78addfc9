"""One case through the API server: from the first pod created to the last one bound."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from .. import load, processes
from ..context import Context
from ..kube import LABEL, MERGE, Kube, Refused, namespace, until
from ..report import Figure, milliseconds
from .cases import CASES, RESERVED, Batch, Case, nodes

_NAME = re.compile(rb'"name":\s?"(p\d*-\d+)"')
_ADDED = re.compile(rb'^{"type":\s?"ADDED"')
_NODE = re.compile(rb'"nodeName":\s?"')
FEW = 50
PATIENCE = 900.0
"""Seconds for a case: a slow scheduler has an answer too."""


async def run(context: Context, name: str, *, node_count: int, pod_count: int) -> Figure:
    """The rate of one case. Raises TimeoutError if pods are left over."""
    kube, case = context.kube, CASES[name](node_count, pod_count)
    async with namespace(kube, context.name(f"{name}-{node_count}")) as ns, _setting(kube, ns, case, node_count):
        path = f"/api/v1/namespaces/{ns}/pods"
        for batch in case.before:
            await _create(kube, path, batch.count, batch.body(ns))
            if batch.waits:
                await until(lambda: _all_bound(kube, path), what="the pods before", timeout=PATIENCE, every=1.0)
        version = (await kube.call("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"]
        total = sum(batch.count for batch in case.measured)
        watching = asyncio.create_task(_watch(kube, f"{path}?watch=true&resourceVersion={version}", total))
        churning = [asyncio.create_task(_churn(kube, ns, what, every)) for what, every in case.churn]
        used = {group: processes.cpu_seconds(pids) for group, pids in context.groups.items()}
        began = time.monotonic()
        try:
            errors = sum([await _create(kube, path, batch.count, batch.body(ns)) for batch in case.measured])
            waits = await asyncio.wait_for(watching, PATIENCE)
        finally:
            for task in (watching, *churning):
                task.cancel()
            await asyncio.gather(watching, *churning, return_exceptions=True)
        took = time.monotonic() - began
        notes = [f"{total} pods in {took:.1f} s"]
        notes += [f"p50 {milliseconds(waits[len(waits) // 2])}", f"p99 {milliseconds(waits[len(waits) * 99 // 100])}"]
        for group, pids in context.groups.items():
            cpu = (processes.cpu_seconds(pids) - used[group]) / total
            notes.append(f"{group} {cpu * 1e6:.0f} µs a pod, {processes.memory(pids) >> 20} MiB")
        if errors:
            notes.append(f"{errors} not created")
        return Figure(f"{name} at {node_count} nodes", total / took, "pods/s", ", ".join(notes))


async def _create(kube: Kube, path: str, count: int, body: dict[str, Any]) -> int:
    """Make so many objects; how many could not be made. Few are not worth a process of their own."""
    if count > FEW:
        return (await load.create(kube.target, path, count=count, body=body)).errors
    text, failed = json.dumps(body), 0
    for number in range(count):
        try:
            await kube.call("POST", path, json.loads(text.replace(load.NUMBER, str(number))))
        except Refused:
            failed += 1
    return failed


@asynccontextmanager
async def _setting(kube: Kube, ns: str, case: Case, node_count: int) -> AsyncIterator[None]:
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": f"{LABEL}-high", "labels": {LABEL: ns}},
        "value": 1000,
    }
    try:
        await kube.ensure("/apis/scheduling.k8s.io/v1/priorityclasses", priority)
        for count, body in nodes(node_count, ns, reserves=case.reserves):
            await _create(kube, "/api/v1/nodes", count, body)
        await until(lambda: _ready(kube, ns, node_count), what="all nodes to be ready", every=1.0)
        # One pod first: when it is bound, the scheduler has seen nodes.
        path = f"/api/v1/namespaces/{ns}/pods"
        first = Batch(1, "first", {}, {}).body(ns)
        first["metadata"]["name"] = "first"
        await kube.call("POST", path, first)
        await until(lambda: _bound(kube, f"{path}/first"), what="the first pod's binding")
        await kube.call("DELETE", f"{path}/first?gracePeriodSeconds=0")
        yield
    finally:
        await kube.call("DELETE", f"/api/v1/namespaces/{ns}/pods?gracePeriodSeconds=0")
        await kube.call("DELETE", f"/api/v1/nodes?labelSelector={LABEL}%3D{ns}")
        await kube.call("DELETE", f"/apis/scheduling.k8s.io/v1/priorityclasses?labelSelector={LABEL}%3D{ns}")


async def _ready(kube: Kube, label: str, count: int) -> bool:
    found = await kube.call("GET", f"/api/v1/nodes?labelSelector={LABEL}%3D{label}")
    keys = {taint["key"] for node in found["items"] for taint in node["spec"]["taints"]}
    return len(found["items"]) == count and keys <= {LABEL, RESERVED}


async def _bound(kube: Kube, path: str) -> bool:
    return bool((await kube.call("GET", path))["spec"].get("nodeName"))


async def _all_bound(kube: Kube, path: str) -> bool:
    found = await kube.call("GET", f"{path}?fieldSelector=spec.nodeName%3D&limit=1")
    return not found["items"]


async def _watch(kube: Kube, path: str, total: int) -> Sequence[float]:
    """Seconds from being seen first to being seen bound, of so many pods, in order."""
    came: dict[bytes, float] = {}
    waits: dict[bytes, float] = {}
    async for line in kube.watch(path):
        if not (found := _NAME.search(line)):
            continue
        name, now = found[1], time.monotonic()
        if _ADDED.match(line):
            came[name] = now
        elif name not in waits and name in came and _NODE.search(line):
            waits[name] = now - came[name]
            if len(waits) == total:
                break
    return sorted(waits.values())


async def _churn(kube: Kube, ns: str, what: str, every: float) -> None:
    """Make an object, and remove the one before, again and again."""
    made: list[str] = []
    for number in itertools.count():
        path, body = _churned(ns, what, number)
        try:
            await kube.call("POST", path, body)
            made.append(f"{path}/{body['metadata']['name']}")
            if what == "node":  # as a kubelet would report itself
                await kube.call("PATCH", f"{made[-1]}/status", {"status": body["status"]}, media=MERGE)
            if len(made) > 1:
                await kube.call("DELETE", f"{made.pop(0)}?gracePeriodSeconds=0")
        except Refused as refused:
            if refused.code not in (404, 409):
                raise
        await asyncio.sleep(every)


def _churned(ns: str, what: str, number: int) -> tuple[str, dict[str, Any]]:
    metadata: dict[str, Any] = {"name": f"{ns}-churn-{number}"[-60:].lstrip("-"), "labels": {LABEL: ns}}
    match what:
        case "node":
            _, body = next(nodes(1, ns, reserves=False))
            return "/api/v1/nodes", body | {"metadata": metadata}
        case "service":
            spec = {"selector": {"app": f"churn-{number}"}, "ports": [{"port": 80}]}
            body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata | {"name": f"churn-{number}"}}
            return f"/api/v1/namespaces/{ns}/services", body | {"spec": spec}
        case _:
            huge = {"requests": {"cpu": "1000"}}
            spec = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10", "resources": huge}]}
            body = Batch(1, "churn", {}, spec).body(ns)
            body["metadata"]["name"] = f"churn-{number}"
            return f"/api/v1/namespaces/{ns}/pods", body
