"""What the scheduler counts, as Prometheus reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import aiohttp
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from k8slite.metrics import render
from k8slite.scheduler.queue import FLUSH_AFTER
from k8slite.scheduler.tallies import Histogram, exponential

from .builders import node, pod
from .running import cluster

Sample = tuple[str, frozenset[tuple[str, str]]]


def readings() -> dict[Sample, float]:
    """Every sample of the scheduler."""
    families = text_string_to_metric_families(render()[0].decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        if family.name.startswith("scheduler_")
        for sample in family.samples
    }


def since(before: Mapping[Sample, float]) -> Callable[..., float]:
    """How much more a sample is than it was."""
    now = readings()

    def more(name: str, **labels: str) -> float:
        key = f"scheduler_{name}", frozenset(labels.items())
        return now.get(key, 0.0) - before.get(key, 0.0)

    return more


def now(name: str, **labels: str) -> float:
    return readings().get((f"scheduler_{name}", frozenset(labels.items())), 0.0)


OURS = {"profile": "default-scheduler"}


async def test_a_pod_that_is_bound_is_an_attempt_a_decision_and_a_binding() -> None:
    before = readings()
    async with cluster(node("a")) as it:
        it.show(pod("web"))
        await it.settle(lambda: it.api.bound)
    more = since(before)
    assert more("schedule_attempts_total", result="scheduled", **OURS) == 1
    assert more("scheduling_attempt_duration_seconds_count", result="scheduled", **OURS) == 1
    assert more("scheduling_algorithm_duration_seconds_count") == 1
    assert more("pod_scheduling_sli_duration_seconds_count", attempts="1") == 1
    assert more("pod_scheduling_attempts_sum") == 1
    assert more("queue_incoming_pods_total", queue="active", event="UnschedulablePodAdd") == 1
    assert (
        more("framework_extension_point_duration_seconds_count", extension_point="Bind", status="Success", **OURS) == 1
    )
    assert more("event_handling_duration_seconds_count", event="UnschedulablePodAdd") == 1
    assert more("event_handling_duration_seconds_count", event="NodeAdd") == 1


async def test_plugins_are_measured_in_the_first_attempt_of_ten() -> None:
    before = readings()
    async with cluster(node("a")) as it:
        for number in range(10):
            it.show(pod(f"p{number}", requests={"cpu": f"{number + 1}m"}))
            await it.settle()
    more = since(before)
    scored = {"extension_point": "Score", "status": "Success"}
    assert more("plugin_execution_duration_seconds_count", plugin="NodeResourcesFit", **scored) == 1
    assert more("plugin_evaluation_total", plugin="NodeResourcesFit", extension_point="Filter", **OURS) == 10
    assert more("framework_extension_point_duration_seconds_count", **scored, **OURS) == 1


async def test_a_pod_that_waits_is_counted_where_it_waits_and_by_who_rejected_it() -> None:
    before = readings()
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        it.show(pod("big", requests={"cpu": "2"}), pod("gated", schedulingGates=[{"name": "later"}]))
        await it.settle()
        assert now("pending_pods", queue="unschedulable") == 1
        assert now("pending_pods", queue="gated") == 1
        assert now("pending_pods", queue="active") == now("pending_pods", queue="backoff") == 0
        assert now("unschedulable_pods", plugin="NodeResourcesFit", **OURS) == 1
        assert now("unschedulable_pods", plugin="SchedulingGates", **OURS) == 1
        assert now("cache_size", type="nodes") == 1
        assert now("cache_size", type="pods") == 0
        it.scheduler.on_node(None, node("b"))
        await it.settle(lambda: it.api.bound == [("big", "b")])
        assert now("unschedulable_pods", plugin="NodeResourcesFit", **OURS) == 0
        assert now("cache_size", type="pods") == 1
    more = since(before)
    assert more("schedule_attempts_total", result="unschedulable", **OURS) == 1
    assert more("queue_incoming_pods_total", queue="unschedulable", event="ScheduleAttemptFailure") == 1
    assert more("queue_incoming_pods_total", queue="backoff", event="NodeAdd") == 1
    assert more("queue_incoming_pods_total", queue="active", event="PopFromBackoffQ") == 1
    assert more("pod_scheduling_sli_duration_seconds_count", attempts="2") == 1
    assert more("pod_scheduled_after_flush_total") == 0


async def test_bindings_under_way_are_the_goroutines_and_the_assumed_pods() -> None:
    async with cluster(node("a")) as it:
        it.api.hold.clear()
        it.show(pod("web"), pod("db"))
        await it.settle()
        assert now("goroutines", operation="binding") == 2
        assert now("cache_size", type="assumed_pods") == 2
        it.api.hold.set()
        await it.settle()
        assert now("goroutines", operation="binding") == 0
        assert now("cache_size", type="assumed_pods") == 0


async def test_a_binding_that_fails_is_an_error() -> None:
    before = readings()
    async with cluster(node("a")) as it:
        it.api.fail = [aiohttp.ClientConnectionError("reset")] * 8
        it.show(pod("web"))
        await it.clock.advance(60)
    assert since(before)("schedule_attempts_total", result="error", **OURS) == 1


async def test_a_pod_that_no_hint_woke_is_told_of() -> None:
    before = readings()
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        it.show(pod("big", requests={"cpu": "2"}))
        await it.settle()
        it.scheduler.columns.set_node(node("a", allocatable={"cpu": "4"}))  # and nobody tells the queue
        await it.clock.advance(FLUSH_AFTER + 1)
        assert it.api.bound == [("big", "a")]
    more = since(before)
    assert more("pod_scheduled_after_flush_total") == 1
    assert more("queue_incoming_pods_total", queue="active", event="UnschedulableTimeout") == 1


@pytest.fixture
def histogram() -> Iterator[Histogram]:
    found = Histogram("scheduler_of_a_test_seconds", "For this test.", ["kind"], buckets=exponential(1, 2, 3))
    yield found
    REGISTRY.unregister(found)


def test_buckets_hold_what_is_not_above_them(histogram: Histogram) -> None:
    for value in (0.5, 1, 1.5, 4, 9):
        histogram.observe(value, "x")
    before: dict[Sample, float] = {}
    more = since(before)
    bounds = ("1.0", "2.0", "4.0", "+Inf")
    assert [more("of_a_test_seconds_bucket", kind="x", le=bound) for bound in bounds] == [2, 3, 4, 5]
    assert more("of_a_test_seconds_count", kind="x") == histogram.count("x") == 5
    assert more("of_a_test_seconds_sum", kind="x") == 16


def test_names_are_those_of_prometheus() -> None:
    assert all(re.fullmatch(r"scheduler_[a-z_]+", name) for name, _ in readings())
