"""What the node lifecycle counts, under upstream's names."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge

from .zones import Size

EMPTIED = Counter("node_collector_evictions_total", "Nodes whose pods were told to leave.", ["zone"])
ZONE_SIZE = Gauge("node_collector_zone_size", "Nodes of a zone that count when it is judged.", ["zone"])
ZONE_HEALTH = Gauge("node_collector_zone_health", "How many of a hundred of them are ready.", ["zone"])
UNHEALTHY = Gauge("node_collector_unhealthy_nodes_in_zone", "Those that are not ready.", ["zone"])


def show(sizes: Mapping[str, Size], *, known: set[str]) -> None:
    """Set the gauges; zones that were `known` and have no node any more are shown as empty and healthy."""
    for zone in known | sizes.keys():
        size = sizes.get(zone, Size(0, 0))
        total = size.ready + size.not_ready
        ZONE_SIZE.labels(zone).set(total)
        ZONE_HEALTH.labels(zone).set(100 * size.ready / total if total else 100)
        UNHEALTHY.labels(zone).set(size.not_ready)
    known |= sizes.keys()
