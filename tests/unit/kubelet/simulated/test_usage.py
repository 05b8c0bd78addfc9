"""What simulated pods use, and counters that go on at the rate that holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.kubelet.simulated.facts import Pod
from k8slite.kubelet.simulated.stages import Stages
from k8slite.kubelet.simulated.usage import Counters, Rate, rates

MI = 1 << 20
STARTED = "2026-01-01T00:00:00Z"
START = 1767225600.0


def pod(
    *, name: str = "web", annotations: dict[str, str] | None = None, requests: dict[str, dict[str, str]] | None = None
) -> Pod:
    asked = requests or {"main": {}}
    containers = [{"name": each, "image": "x", "resources": {"requests": what}} for each, what in asked.items()]
    running = [{"name": each, "state": {"running": {"startedAt": STARTED}}} for each in asked]
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "labels": {"app": name},
            "annotations": annotations or {},
        },
        "spec": {"nodeName": "n1", "containers": containers},
        "status": {"phase": "Running", "containerStatuses": running},
    }
    return Pod.model_validate(document)


def used(one: Pod, stages: str = "") -> dict[str, Rate]:
    names = [each.name for each in one.spec.containers]
    uses = Stages.model_validate({"usage": [{"cpu": stages}]} if stages else {}).usage
    return rates(one, names, uses=uses, node_labels={})


@pytest.mark.parametrize(
    ("annotations", "stages", "expected"),
    [
        ({}, "", {"a": (200, 8), "b": (1, 1)}),
        ({"k8slite.io/cpu-usage": "1", "k8slite.io/memory-usage": "10Mi"}, "", {"a": (500, 5), "b": (500, 5)}),
        ({"cpu-usage.k8slite.io/a": "50m"}, "", {"a": (50, 8), "b": (1, 1)}),
        ({"cpu-usage.k8slite.io/b": "0", "memory-usage.k8slite.io/b": "0"}, "", {"a": (200, 8), "b": (0, 0)}),
        ({}, "3", {"a": (1500, 8), "b": (1500, 1)}),
        ({"k8slite.io/cpu-usage": "1"}, "3", {"a": (500, 8), "b": (500, 1)}),
        ({"k8slite.io/cpu-usage": "lots"}, "3", {"a": (1500, 8), "b": (1500, 1)}),
        ({"k8slite.io/cpu-usage": "-1"}, "", {"a": (0, 8), "b": (0, 1)}),
    ],
)
def test_annotations_come_before_stages_and_those_before_requests(
    annotations: dict[str, str], stages: str, expected: dict[str, tuple[int, int]]
) -> None:
    one = pod(annotations=annotations, requests={"a": {"cpu": "400m", "memory": "16Mi"}, "b": {}})
    found = used(one, stages)
    assert {name: (rate.cpu // 10**6, rate.memory // MI) for name, rate in found.items()} == expected


def test_the_first_rule_that_matches_counts() -> None:
    rules = [
        {"match": {"selector": "app=other"}, "cpu": "1"},
        {"match": {"namespaces": "ns", "node": "zone=a"}, "cpu": "2"},
        {"cpu": "3"},
    ]
    uses = Stages.model_validate({"usage": rules}).usage
    assert rates(pod(), ["main"], uses=uses, node_labels={"zone": "a"})["main"].cpu == 2 * 10**9
    assert rates(pod(), ["main"], uses=uses, node_labels={})["main"].cpu == 3 * 10**9


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.integers(0, 4000)), min_size=1, max_size=20))
def test_a_counter_never_falls_and_goes_on_at_the_rate_that_holds(asked: list[tuple[float, int]]) -> None:
    counters, now, before = Counters(), START, 0
    for wait, milli in asked:
        now += wait
        one = pod(annotations={"k8slite.io/cpu-usage": f"{milli}m"})
        page = counters.page("n1", [one], since=START, uses=(), node_labels={}, now=now)
        [container] = page.pods[0].containers
        assert abs(container.usage.cpu - before - wait * milli * 10**6) <= 1000 * max(1, milli)
        assert container.usage.cpu >= before and container.usage.at == now
        before = container.usage.cpu


def test_a_node_uses_what_its_pods_do_and_a_little_more() -> None:
    pods = [
        pod(name=name, annotations={"k8slite.io/cpu-usage": "1", "k8slite.io/memory-usage": "1Gi"}) for name in "ab"
    ]
    page = Counters().page("n1", pods, since=START, uses=(), node_labels={}, now=START + 10)
    assert page.cores == 2_050_000_000 and page.usage.cpu == 20_500_000_000
    assert page.usage.working_set == (2 << 30) + (256 << 20)
    assert [each.usage and each.usage.cpu for each in page.pods] == [10 * 10**9] * 2


def test_what_does_not_run_uses_nothing() -> None:
    waiting = pod().model_copy(update={"status": {"phase": "Pending"}})
    ended = pod().model_copy(update={"status": {**pod().status, "phase": "Succeeded"}})
    page = Counters().page("n1", [waiting, ended], since=START, uses=(), node_labels={}, now=START)
    assert page.pods == ()


def test_counters_of_pods_that_are_gone_are_forgotten() -> None:
    counters = Counters()
    counters.page("n1", [pod()], since=START, uses=(), node_labels={}, now=START + 5)
    counters.page("n1", [], since=START, uses=(), node_labels={}, now=START + 6)
    assert counters._nodes["n1"].keys() == {("", "")}
    counters.forget("n1")
    assert not counters._nodes
