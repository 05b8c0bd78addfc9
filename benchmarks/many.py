"""Many objects: what the API server's memory holds of them."""

from __future__ import annotations

import asyncio
import itertools

from . import processes
from .context import Context, Skipped
from .kube import namespace
from .report import Figure

COUNT = 100_000
AT_ONCE = 64
_KILOBYTE = "x" * 1000


async def run(context: Context) -> list[Figure]:
    """ConfigMaps of 1 kB, and the memory of the process that holds them: the largest of the control plane's."""
    if not context.pids:
        raise Skipped("the control plane's processes are unknown: name them with --pids")
    async with namespace(context.kube, context.name("many")) as ns:
        before = _largest(context)
        await _fill(context, f"/api/v1/namespaces/{ns}/configmaps")
        after = _largest(context)
    note = f"{before / 2**20:.0f} MiB before; proportional set size of the largest process"
    return [Figure(f"memory with {COUNT} ConfigMaps of 1 kB", after / 2**20, "MiB", note)]


def _largest(context: Context) -> int:
    return max(processes.memory([pid]) for pid in context.pids)


async def _fill(context: Context, path: str) -> None:
    numbers = itertools.islice(itertools.count(), COUNT)

    async def create() -> None:
        for number in numbers:  # shared: each worker takes the next one
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"many-{number:06}"}}
            await context.kube.call("POST", path, body | {"data": {"value": _KILOBYTE}})

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(create())
