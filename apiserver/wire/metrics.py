"""Counts and durations of requests, cheap enough for every request.

A dictionary look-up and three additions; the figures become Prometheus metrics only when they are scraped.

Source: Kubernetes documentation, "Metrics reference" (names, labels and buckets).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from k8slite.catalogue import Catalogue

from .request import RequestInfo

_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0)
_REQUEST = ("verb", "group", "version", "resource", "subresource", "scope")

Key = tuple[str, str, str, str, str, str]
"""verb, group, version, resource, subresource, scope"""


def key_of(info: RequestInfo, catalogue: Catalogue) -> Key:
    """The labels of a request. Only words of the catalogue are labels: clients could make up others without end."""
    resource = catalogue.by_path(info.group, info.version, info.plural) if info.plural else None
    if resource is None or (info.subresource and resource.subresource(info.subresource) is None):
        return (info.verb.upper(), "", "", "", "", "")
    scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
    return (info.verb.upper(), info.group, info.version, info.plural, info.subresource, scope)


class _Durations:
    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.total = 0.0


class RequestMetrics(Collector):
    """What Prometheus sees of the requests of one server."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Key, int], int] = {}
        self._durations: dict[Key, _Durations] = {}
        self.streams: dict[Key, int] = {}
        """Open watches and other long-running requests."""

    def observe(self, key: Key, code: int, seconds: float) -> None:
        """Count a request; the duration of a stream is not one, so give a negative one for it."""
        counted = (key, code)
        self._counts[counted] = self._counts.get(counted, 0) + 1
        if seconds < 0:
            return
        durations = self._durations.get(key)
        if durations is None:
            durations = self._durations[key] = _Durations()
        durations.total += seconds
        durations.buckets[bisect_left(_BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily | GaugeMetricFamily]:
        """The metrics now."""
        total = CounterMetricFamily(
            "apiserver_request", "Requests by verb, resource, scope and status code.", labels=(*_REQUEST, "code")
        )
        for (key, code), count in self._counts.copy().items():
            total.add_metric((*key, str(code)), count)
        yield total
        duration = HistogramMetricFamily(
            "apiserver_request_duration_seconds", "Response latency by verb and resource.", labels=_REQUEST
        )
        for key, durations in self._durations.copy().items():
            cumulated, buckets = 0, []
            for bound, count in zip((*map(str, _BUCKETS), "+Inf"), durations.buckets, strict=True):
                cumulated += count
                buckets.append((bound, cumulated))
            duration.add_metric(key, buckets, durations.total)
        yield duration
        running = GaugeMetricFamily(
            "apiserver_longrunning_requests", "Watches and other streams that are open.", labels=_REQUEST
        )
        for key, count in self.streams.copy().items():
            running.add_metric(key, count)
        yield running
