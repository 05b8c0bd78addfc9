"""The metrics of flow control: names, labels and buckets are Kubernetes'.

Counted where it happens in plain attributes, read out when they are scraped.

Source: Kubernetes' apiserver, util/flowcontrol/metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .control import FlowControl
from .levels import BUCKETS, Distribution, Level, Tally

_LEVEL, _BOTH = ("priority_level",), ("priority_level", "flow_schema")
_WIDTHS = (1, 2, 4, 8, 16, 32, 64, 100)


class FlowControlMetrics(Collector):
    """What Prometheus sees of the flow control of one server."""

    def __init__(self, flow: FlowControl) -> None:
        self._flow = flow

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        levels, tallies = list(self._flow.levels.values()), list(self._flow.tallies.values())
        fair = GaugeMetricFamily(
            "apiserver_flowcontrol_seat_fair_frac", "The fraction of what they could use that all levels have."
        )
        fair.add_metric((), self._flow.fair_fraction)
        yield fair
        yield from _limits(levels)
        yield from _demands(levels)
        yield from _present(tallies)
        yield from _counts(tallies)
        yield from _widths(tallies)
        yield from _durations(tallies)


def _limits(levels: Iterable[Level]) -> Iterator[Metric]:
    nominal = GaugeMetricFamily(
        "apiserver_flowcontrol_nominal_limit_seats", "Seats that a level has by its configuration.", labels=_LEVEL
    )
    lower = GaugeMetricFamily(
        "apiserver_flowcontrol_lower_limit_seats", "Seats that a level has at least.", labels=_LEVEL
    )
    upper = GaugeMetricFamily(
        "apiserver_flowcontrol_upper_limit_seats", "Seats that a level has at most.", labels=_LEVEL
    )
    current = GaugeMetricFamily(
        "apiserver_flowcontrol_current_limit_seats", "Seats that a level has for now.", labels=_LEVEL
    )
    for level in levels:
        nominal.add_metric((level.name,), level.bounds.nominal)
        lower.add_metric((level.name,), level.bounds.lower)
        upper.add_metric((level.name,), level.bounds.upper)
        if not level.exempt:
            current.add_metric((level.name,), level.limit)
    yield from (nominal, lower, upper, current)


def _demands(levels: Iterable[Level]) -> Iterator[Metric]:
    peak = GaugeMetricFamily(
        "apiserver_flowcontrol_demand_seats_high_watermark", "The most seats wanted in the last period.", labels=_LEVEL
    )
    average = GaugeMetricFamily(
        "apiserver_flowcontrol_demand_seats_average", "Seats wanted in the last period, on average.", labels=_LEVEL
    )
    deviation = GaugeMetricFamily(
        "apiserver_flowcontrol_demand_seats_stdev", "Deviation of the seats wanted in the last period.", labels=_LEVEL
    )
    smoothed = GaugeMetricFamily(
        "apiserver_flowcontrol_demand_seats_smoothed", "Seats wanted, smoothed over periods.", labels=_LEVEL
    )
    target = GaugeMetricFamily(
        "apiserver_flowcontrol_target_seats", "Seats that the last adjustment aimed at.", labels=_LEVEL
    )
    progress = GaugeMetricFamily(
        "apiserver_flowcontrol_current_r", "The progress of fair queuing, in seat-seconds.", labels=_LEVEL
    )
    for level in levels:
        peak.add_metric((level.name,), level.demand.peak)
        average.add_metric((level.name,), level.demand.average)
        deviation.add_metric((level.name,), level.demand.deviation)
        smoothed.add_metric((level.name,), level.demand.smoothed)
        target.add_metric((level.name,), level.target)
        progress.add_metric((level.name,), level.queues.progress)
    yield from (peak, average, deviation, smoothed, target, progress)


def _present(tallies: Iterable[Tally]) -> Iterator[Metric]:
    queued = GaugeMetricFamily("apiserver_flowcontrol_current_inqueue_requests", "Requests that wait.", labels=_BOTH)
    queued_seats = GaugeMetricFamily(
        "apiserver_flowcontrol_current_inqueue_seats", "Seats that are waited for.", labels=_BOTH
    )
    executing = GaugeMetricFamily(
        "apiserver_flowcontrol_current_executing_requests", "Requests that are served.", labels=_BOTH
    )
    seats = GaugeMetricFamily("apiserver_flowcontrol_current_executing_seats", "Seats that are taken.", labels=_BOTH)
    for tally in tallies:
        labels = (tally.level, tally.schema)
        queued.add_metric(labels, tally.queued)
        queued_seats.add_metric(labels, tally.queued_seats)
        executing.add_metric(labels, tally.executing)
        seats.add_metric(labels, tally.executing + tally.extra_seats)
    yield from (queued, queued_seats, executing, seats)


def _counts(tallies: Iterable[Tally]) -> Iterator[Metric]:
    dispatched = CounterMetricFamily(
        "apiserver_flowcontrol_dispatched_requests", "Requests that were served.", labels=_BOTH
    )
    rejected = CounterMetricFamily(
        "apiserver_flowcontrol_rejected_requests", "Requests refused.", labels=(*_BOTH, "reason")
    )
    no_room = CounterMetricFamily(
        "apiserver_flowcontrol_request_dispatch_no_accommodation", "How often who was next did not fit.", labels=_BOTH
    )
    for tally in tallies:
        labels = (tally.level, tally.schema)
        dispatched.add_metric(labels, tally.dispatched)
        no_room.add_metric(labels, tally.no_room)
        for reason, count in tally.rejected.items():
            rejected.add_metric((*labels, reason), count)
    yield from (dispatched, rejected, no_room)


def _widths(tallies: Iterable[Tally]) -> Iterator[Metric]:
    seats = HistogramMetricFamily(
        "apiserver_flowcontrol_work_estimated_seats", "Seats that requests take.", labels=_BOTH
    )
    for tally in tallies:
        widths = {1: tally.dispatched - sum(tally.wide.values()), **tally.wide}
        buckets = [(str(bound), sum(count for width, count in widths.items() if width <= bound)) for bound in _WIDTHS]
        buckets.append(("+Inf", tally.dispatched))
        seats.add_metric((tally.level, tally.schema), buckets, sum(width * count for width, count in widths.items()))
    yield seats


def _durations(tallies: Iterable[Tally]) -> Iterator[Metric]:
    waited = HistogramMetricFamily(
        "apiserver_flowcontrol_request_wait_duration_seconds", "How long requests waited.", labels=(*_BOTH, "execute")
    )
    executed = HistogramMetricFamily(
        "apiserver_flowcontrol_request_execution_seconds", "How long requests were served.", labels=(*_BOTH, "type")
    )
    for tally in tallies:
        labels = (tally.level, tally.schema)
        at_once = tally.dispatched - sum(tally.waited.counts)
        waited.add_metric((*labels, "true"), _buckets(tally.waited, at_once), tally.waited.total)
        waited.add_metric((*labels, "false"), _buckets(tally.waited_in_vain, 0), tally.waited_in_vain.total)
        executed.add_metric((*labels, "regular"), _buckets(tally.durations, 0), tally.durations.total)
    yield waited
    yield executed


def _buckets(distribution: Distribution, first: int) -> list[tuple[str, float]]:
    """Cumulated counts by upper bound; `first` more are in the first bucket."""
    bounds = (*map(str, BUCKETS), "+Inf")
    return [(bound, first + count) for bound, count in zip(bounds, accumulate(distribution.counts), strict=True)]
