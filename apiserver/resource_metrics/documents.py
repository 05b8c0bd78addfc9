"""NodeMetrics and PodMetrics as documents. Pure.

Source: k8s.io/metrics, apis/metrics/v1beta1; Go's time.Duration.String for windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from k8slite import quantity
from k8slite.clock import timestamp

from .tracks import Rate

Document = dict[str, Any]
GROUP, VERSION = "metrics.k8s.io", "v1beta1"
_API_VERSION = f"{GROUP}/{VERSION}"


def node_metrics(name: str, labels: Mapping[str, str], rate: Rate, *, now: datetime) -> Document:
    """What a node uses."""
    return {
        "kind": "NodeMetrics",
        "apiVersion": _API_VERSION,
        "metadata": _metadata(name, "", labels, now),
        **_window(rate),
        "usage": _usage(rate),
    }


def pod_metrics(
    namespace: str, name: str, labels: Mapping[str, str], rates: Mapping[str, Rate], *, now: datetime
) -> Document:
    """What the containers of a pod use; its time is that of the one that was measured first."""
    return {
        "kind": "PodMetrics",
        "apiVersion": _API_VERSION,
        "metadata": _metadata(name, namespace, labels, now),
        **_window(min(rates.values(), key=lambda rate: rate.at)),
        "containers": [{"name": each, "usage": _usage(rate)} for each, rate in rates.items()],
    }


def _metadata(name: str, namespace: str, labels: Mapping[str, str], now: datetime) -> Document:
    metadata: Document = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["creationTimestamp"] = timestamp(now)
    if labels:
        metadata["labels"] = dict(labels)
    return metadata


def _window(rate: Rate) -> Document:
    return {"timestamp": timestamp(datetime.fromtimestamp(rate.at, UTC)), "window": duration(rate.window)}


def _usage(rate: Rate) -> Document:
    return {
        "cpu": quantity.written(Decimal(rate.cpu).scaleb(-9), "decimal"),
        "memory": quantity.written(Decimal(rate.memory), "binary"),
    }


def duration(seconds: float) -> str:
    """A while as Go writes it, to the millisecond: `950ms`, `1.003s`, `15s`, `1m0.5s`."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{text}" if minutes else text
