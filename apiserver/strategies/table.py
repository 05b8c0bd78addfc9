"""The strategy of every kind that has one: (group, plural) → strategy.

A kind that is not here is stored as the schema admits it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from ..watching.cache import WatchCache
from . import apps, batch, cluster, config, core, others, pods, services
from .base import Strategy

Table = Mapping[tuple[str, str], Strategy]


def strategies(
    *, cache: WatchCache, service_cidr: str, node_ports: tuple[int, int], source: random.Random
) -> dict[tuple[str, str], Strategy]:
    """All strategies of a server."""
    table: dict[tuple[str, str], Strategy] = {
        ("", "pods"): pods.PodStrategy(),
        ("", "services"): services.ServiceStrategy(
            cidr=service_cidr,
            node_ports=node_ports,
            allocations=services.Allocations(cache.resource("", "services")),
            source=source,
        ),
    }
    for module in (core, config, cluster, apps, batch, others):
        table.update(module.STRATEGIES)
    return table
