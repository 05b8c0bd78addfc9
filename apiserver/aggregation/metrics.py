"""How many APIServices lead nowhere, as Prometheus sees it: looked up when it is scraped.

Source: Kubernetes documentation, "Metrics reference" (kube-aggregator).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .services import ApiService


class AvailabilityMetrics(Collector):
    """The metrics of the APIServices that `present` gives."""

    def __init__(self, present: Callable[[], Iterable[ApiService]]) -> None:
        self._present = present

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics now."""
        unavailable = GaugeMetricFamily(
            "aggregator_unavailable_apiservice", "APIServices that cannot be used (1), by name.", labels=("name",)
        )
        for service in self._present():
            unavailable.add_metric([service.name], 0.0 if service.available else 1.0)
        yield unavailable
