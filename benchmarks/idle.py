"""What the control plane uses while nothing happens."""

from __future__ import annotations

import asyncio

from . import processes
from .context import Context, Skipped
from .report import Figure

SETTLE = 15.0
WATCHED = 30.0


async def run(context: Context) -> list[Figure]:
    """Processor time over half a minute, after a rest; memory as proportional set size."""
    if not context.pids:
        raise Skipped("the control plane's processes are unknown: name them with --pids")
    await asyncio.sleep(SETTLE)
    before = processes.cpu_seconds(context.pids)
    await asyncio.sleep(WATCHED)
    share = (processes.cpu_seconds(context.pids) - before) / WATCHED
    count = f"{len(context.pids)} processes"
    return [
        Figure("idle processor use", share * 100, "% of a core", f"{count}, over {WATCHED:.0f} s"),
        Figure("idle memory", processes.memory(context.pids) / 2**20, "MiB", f"{count}, proportional set size"),
    ]
