"""NodeMetrics and PodMetrics as clients read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from k8slite.apiserver.resource_metrics.documents import duration, node_metrics, pod_metrics
from k8slite.apiserver.resource_metrics.tracks import Rate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RATE = Rate(cpu=250_000_000, memory=64 << 20, at=1.75, window=1.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.0, "1s"),
        (1.0031, "1.003s"),
        (0.95, "950ms"),
        (15.05, "15.05s"),
        (60.0, "1m0s"),
        (75.5, "1m15.5s"),
        (20, "20s"),
    ],
)
def test_a_while_is_written_as_go_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_node() -> None:
    assert node_metrics("n1", {"a": "b"}, RATE, now=NOW) == {
        "kind": "NodeMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": "n1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}},
        "timestamp": "1970-01-01T00:00:01Z",
        "window": "1s",
        "usage": {"cpu": "250m", "memory": "64Mi"},
    }


def test_a_pod_has_the_time_of_what_was_measured_first() -> None:
    later = Rate(cpu=1_234_567, memory=1023, at=9.0, window=2.0)
    found = pod_metrics("ns", "web", {}, {"late": later, "main": RATE}, now=NOW)
    assert (found["timestamp"], found["window"]) == ("1970-01-01T00:00:01Z", "1s")
    assert found["metadata"] == {"name": "web", "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"}
    assert found["containers"] == [
        {"name": "late", "usage": {"cpu": "1234567n", "memory": "1023"}},
        {"name": "main", "usage": {"cpu": "250m", "memory": "64Mi"}},
    ]
