"""How long our own cluster took from the command to a node that is Ready."""

from __future__ import annotations

from .context import Context, Skipped
from .report import Figure


async def run(context: Context) -> list[Figure]:
    """The time of `k8slite up`, which returns when the cluster is ready."""
    if not context.ready:
        raise Skipped("the cluster was not started by this program")
    return [Figure("cluster ready", context.ready, "s", "k8slite up, until it returned")]
