"""Metrics that cost a third of a microsecond to keep: plain numbers, put into Prometheus' form when they are read.

The client library's own take a lock and up to two microseconds for each observation; a decision takes some seventy, and
is observed a dozen times. Everything here is for one event loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]


def exponential(first: float, factor: float, count: int) -> tuple[float, ...]:
    """Bounds of buckets, each `factor` times the one before."""
    return tuple(first * factor**number for number in range(count))


class Counter(Collector):
    """Counts by labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self._about = name.removesuffix("_total"), documentation, tuple(labels)
        self._counts: dict[Labels, float] = {}
        REGISTRY.register(self)

    def add(self, *labels: str, by: float = 1) -> None:
        """Count one more, or several."""
        self._counts[labels] = self._counts.get(labels, 0) + by

    def of(self, *labels: str) -> float:
        """What was counted."""
        return self._counts.get(labels, 0)

    def collect(self) -> Iterable[Metric]:
        """The counts as Prometheus has them."""
        name, documentation, labels = self._about
        family = CounterMetricFamily(name, documentation, labels=labels)
        for values, count in list(self._counts.items()):
            family.add_metric(values, count)
        yield family


class _Series:
    """The observations with certain labels."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more observation."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Histogram(Collector):
    """Observations by labels, in buckets with these upper bounds."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), *, buckets: tuple[float, ...]
    ) -> None:
        self._about = name, documentation, tuple(labels)
        self._bounds = buckets
        self._texts = [*map(floatToGoString, buckets), "+Inf"]
        self._series: dict[Labels, _Series] = {}
        REGISTRY.register(self)

    def observe(self, value: float, *labels: str) -> None:
        """One more observation."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = _Series(self._bounds)
        series.observe(value)

    def count(self, *labels: str) -> int:
        """How many observations there were."""
        series = self._series.get(labels)
        return sum(series.counts) if series else 0

    def collect(self) -> Iterable[Metric]:
        """The buckets as Prometheus has them, each with all that are below."""
        name, documentation, labels = self._about
        family = HistogramMetricFamily(name, documentation, labels=labels)
        for values, series in list(self._series.items()):
            buckets = list(zip(self._texts, map(float, accumulate(series.counts)), strict=True))
            family.add_metric(values, buckets, series.total)
        yield family


class Gauge(Collector):
    """Values that are looked up when somebody asks. `read` is set by whoever knows them."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self._about = name, documentation, tuple(labels)
        self.read: Callable[[], Mapping[Any, float]] = dict
        REGISTRY.register(self)

    def collect(self) -> Iterable[Metric]:
        """The values as Prometheus has them."""
        name, documentation, labels = self._about
        family = GaugeMetricFamily(name, documentation, labels=labels)
        for values, value in self.read().items():
            family.add_metric(values, value)
        yield family
