"""One change, many watchers: how long until the last of them has it."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import asdict

from . import load
from .context import Context
from .kube import MERGE, bearer, namespace
from .report import Figure, milliseconds

CHANGES = 30


async def run(context: Context) -> list[Figure]:
    """100 and 1,000 watchers of ConfigMaps; the time is from sending the change."""
    return [await _fan_out(context, watchers) for watchers in (100, 1000)]


async def _fan_out(context: Context, watchers: int) -> Figure:
    kube = context.kube
    async with namespace(kube, context.name(f"watch-{watchers}")) as ns:
        target = kube.target.with_token(await bearer(kube, ns))
        path = f"/api/v1/namespaces/{ns}/configmaps"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "watched"}, "data": {"change": ""}}
        made = await kube.call("POST", path, body)
        version = made["metadata"]["resourceVersion"]
        watch = f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=600"
        process = await load.start("watchers", asdict(target) | {"path": watch, "watchers": watchers})
        assert process.stdout is not None
        try:
            if (await process.stdout.readline()).strip() != b"ready":
                raise RuntimeError("the watchers did not start")
            last, half = [], []
            for number in range(CHANGES):
                data = {"data": {"change": f"bench-change-{number};"}}
                began = time.monotonic()
                patch = asyncio.create_task(kube.call("PATCH", f"{path}/watched", data, media=MERGE))
                _, at_half, at_last = (await asyncio.wait_for(process.stdout.readline(), 60)).split()
                await patch
                half.append(float(at_half) - began)
                last.append(float(at_last) - began)
        finally:
            process.terminate()
            await process.wait()
    worst = max(last)
    note = f"half of them {milliseconds(statistics.median(half))}, worst of {CHANGES} {milliseconds(worst)}"
    return Figure(f"one change to {watchers} watchers, last one served", statistics.median(last) * 1000, "ms", note)
