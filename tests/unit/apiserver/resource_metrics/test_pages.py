"""What is read of a kubelet's page: ours, upstream's, and what nobody should send."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.resource_metrics.pages import Page, Point, parse

# ruff: noqa: E501 - lines as kubelets write them
PAGE = b"""\
# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="coredns",namespace="kube-system",pod="coredns-0"} 4.710169 1633253812125
container_cpu_usage_seconds_total{pod="other",namespace="default",container="a"} 1.5e+01 1633253812000
# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes
container_memory_working_set_bytes{container="coredns",namespace="kube-system",pod="coredns-0"} 1.253376e+07 1633253812125
container_memory_working_set_bytes{container="a",namespace="default",pod="other"} 7
container_start_time_seconds{container="coredns",namespace="kube-system",pod="coredns-0"} 1.63325381e+09
container_swap_usage_bytes{container="coredns",namespace="kube-system",pod="coredns-0"} 0 1633253812125
node_cpu_usage_seconds_total 357.35491 1633253809720
node_memory_working_set_bytes 1.616273408e+09 1633253809720
node_memory_working_set_bytes_more 5
pod_cpu_usage_seconds_total{namespace="kube-system",pod="coredns-0"} 4.67812 1633253803935
resource_scrape_error 0
"""


def test_a_page_of_upstreams_kubelet() -> None:
    page = parse(PAGE, taken=5.0, now=99.0)
    assert page.node == Point(1633253809.72, 357_354_910_000, 1616273408, 0.0, 5.0)
    assert page.pods[("kube-system", "coredns-0")] == {
        "coredns": Point(1633253812.125, 4_710_169_000, 12533760, 1633253810.0, 5.0)
    }


def test_labels_may_stand_in_any_order_as_long_as_a_page_keeps_to_it() -> None:
    line = b'container_%b{pod="p",namespace="n",container="c"} 1 2000\n'
    page = parse(line % b"cpu_usage_seconds_total" + line % b"memory_working_set_bytes", taken=5.0, now=99.0)
    assert page.pods == {("n", "p"): {"c": Point(2.0, 10**9, 1, 0.0, 5.0)}}


def test_a_sample_without_a_time_is_of_now() -> None:
    page = parse(b"node_cpu_usage_seconds_total 2\nnode_memory_working_set_bytes 3\r\n", taken=5.0, now=99.0)
    assert page.node == Point(99.0, 2 * 10**9, 3, 0.0, 5.0)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "1e300", "x", "1_0x", "0x10"])
def test_what_is_no_amount_is_passed_over(value: str) -> None:
    page = parse(
        f"node_cpu_usage_seconds_total {value}\nnode_memory_working_set_bytes 3\n".encode(), taken=0.0, now=0.0
    )
    assert page.node is None


def test_what_was_measured_when_no_calendar_reaches_is_passed_over() -> None:
    """One page with such a time took the answer from everybody: it could not be written."""
    line = "node_cpu_usage_seconds_total 1 {}\nnode_memory_working_set_bytes 3\n"
    last = parse(line.format(253_402_300_799_000).encode(), taken=0.0, now=0.0).node
    assert last is not None and datetime.fromtimestamp(last.at, UTC).year == 9999
    assert parse(line.format(253_402_300_800_000).encode(), taken=0.0, now=0.0).node is None


def test_names_and_braces_in_quotes_do_not_end_the_labels() -> None:
    labels = rb'container="c",note="a}b\"} 5",namespace="n",pod="p"'
    lines = b"".join(
        b"container_%b{%b} 1\n" % (name, labels) for name in (b"cpu_usage_seconds_total", b"memory_working_set_bytes")
    )
    assert parse(lines, taken=0.0, now=1.0).pods.keys() == {("n", "p")}


@given(st.binary(max_size=300) | st.lists(st.sampled_from(PAGE.splitlines()), max_size=8).map(b"\n".join))
def test_any_bytes_are_read_or_passed_over(body: bytes) -> None:
    page = parse(body, taken=0.0, now=0.0)
    assert isinstance(page, Page)
    assert all(point.cpu >= 0 and point.memory >= 0 for pod in page.pods.values() for point in pod.values())


def test_what_never_ends_is_read_in_no_time() -> None:
    body = b"container_cpu_usage_seconds_total{" + b'a="' * 200_000 + b"\n" + b"node_cpu_usage_seconds_total" * 10_000
    assert parse(body, taken=0.0, now=0.0) == Page()
