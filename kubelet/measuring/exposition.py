"""Usage as a page for Prometheus: `/metrics/resource`, which metrics servers read.

Source: Kubernetes' pkg/kubelet/metrics/collectors/resource_metrics.go (names, labels, help).
"""

from __future__ import annotations

from collections.abc import Iterator

from .model import NodeUsage

MEDIA = "text/plain; version=0.0.4; charset=utf-8"

_CONTAINER, _POD = '{container="%s",namespace="%s",pod="%s"}', '{namespace="%s",pod="%s"}'
_METRICS = {
    "container_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the container in core-seconds"),
    "container_memory_working_set_bytes": ("gauge", "Current working set of the container in bytes"),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds"),
    "container_swap_usage_bytes": ("gauge", "Current amount of the container swap usage in bytes"),
    "node_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the node in core-seconds"),
    "node_memory_working_set_bytes": ("gauge", "Current working set of the node in bytes"),
    "node_swap_usage_bytes": ("gauge", "Current swap usage of the node in bytes"),
    "pod_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the pod in core-seconds"),
    "pod_memory_working_set_bytes": ("gauge", "Current working set of the pod in bytes"),
    "pod_swap_usage_bytes": ("gauge", "Current amount of the pod swap usage in bytes"),
    "resource_scrape_error": ("gauge", "1 if there was an error while getting container metrics, 0 otherwise"),
    "scrape_error": ("gauge", "1 if there was an error while getting container metrics, 0 otherwise"),
}
Sample = tuple[str, str]
"""The name of a metric, and the rest of the line."""


def page(node: NodeUsage | None) -> bytes:
    """The page; None stands for what could not be measured."""
    lines: dict[str, list[str]] = {}
    for name, rest in _samples(node):
        lines.setdefault(name, []).append(name + rest)
    written = []
    for name, (kind, help_) in _METRICS.items():
        if name in lines:
            written += [f"# HELP {name} {help_}", f"# TYPE {name} {kind}", *lines[name]]
    return ("\n".join(written) + "\n").encode()


def _samples(node: NodeUsage | None) -> Iterator[Sample]:
    error = " 0" if node is not None else " 1"
    yield "resource_scrape_error", error
    yield "scrape_error", error
    if node is None:
        return
    at = int(node.usage.at * 1000)
    yield "node_cpu_usage_seconds_total", f" {_seconds(node.usage.cpu)} {at}"
    yield "node_memory_working_set_bytes", f" {node.usage.working_set} {at}"
    yield "node_swap_usage_bytes", f" {node.usage.swap} {at}"
    for pod in node.pods:
        for each in pod.containers:
            labels = _CONTAINER % (each.name, pod.namespace, pod.name)
            at = int(each.usage.at * 1000)
            if each.started:
                yield "container_start_time_seconds", f"{labels} {each.started!r}"
            yield "container_cpu_usage_seconds_total", f"{labels} {_seconds(each.usage.cpu)} {at}"
            yield "container_memory_working_set_bytes", f"{labels} {each.usage.working_set} {at}"
            yield "container_swap_usage_bytes", f"{labels} {each.usage.swap} {at}"
        if pod.usage is not None:
            labels, at = _POD % (pod.namespace, pod.name), int(pod.usage.at * 1000)
            yield "pod_cpu_usage_seconds_total", f"{labels} {_seconds(pod.usage.cpu)} {at}"
            yield "pod_memory_working_set_bytes", f"{labels} {pod.usage.working_set} {at}"
            yield "pod_swap_usage_bytes", f"{labels} {pod.usage.swap} {at}"


def _seconds(nanoseconds: int) -> str:
    """Exact: a float would lose the last digits of a machine that has run for months."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"
