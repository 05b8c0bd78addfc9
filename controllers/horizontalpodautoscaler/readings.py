"""What the metrics APIs answered, as numbers.

Anybody may have written the server that answered. What cannot be understood speaks for itself alone: other metrics of
the same autoscaler still count.

Source: k8s.io/metrics (metrics.k8s.io/v1beta1, custom.metrics.k8s.io/v1beta2 and v1beta1, external.metrics.k8s.io);
pkg/controller/podautoscaler/metrics/client.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from k8slite.quantity import QuantityError, milli

from .pods import Sample, Unknown

Document = Mapping[str, Any]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

USUAL_WINDOW = timedelta(minutes=1)
"""What a custom metric was measured over, if it does not say."""
_LONGEST_WINDOW = timedelta(days=1)
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _understood(read: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    @wraps(read)
    def answer(*args: Parameters.args, **options: Parameters.kwargs) -> Result:
        try:
            return read(*args, **options)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise Unknown(f"the answer cannot be understood: {type(error).__name__}: {error}") from error

    return answer


def name_of(item: object) -> str | None:
    """Whom an answer is about, None if it does not say."""
    metadata = item.get("metadata") if isinstance(item, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else None


@_understood
def pod_samples(items: Sequence[Document], *, resource: str, container: str = "") -> dict[str, Sample]:
    """What each pod uses of a resource: all its containers together, or one. Raises Unknown."""
    if not items:
        raise Unknown("no metrics returned from resource metrics API")
    found = {}
    for item in items:
        meta, containers = item["metadata"], item.get("containers") or ()
        if container:
            containers = [one for one in containers if one["name"] == container]
            if not containers:
                where = f"{meta.get('namespace', '')}/{meta['name']}"
                problem = f"container {container} not present in metrics for pod {where}"
                raise Unknown(f"failed to get container metrics: {problem}")
        used = [(one.get("usage") or {}).get(resource) for one in containers]
        if used and None not in used:
            value = sum(_thousandths(amount) for amount in used)
            found[meta["name"]] = Sample(value, _moment(item), _window(item.get("window")))
    return found


@_understood
def custom_samples(items: Sequence[Document]) -> dict[str, Sample]:
    """A metric of each pod. Raises Unknown."""
    if not items:
        raise Unknown("no metrics returned from custom metrics API")
    found = {}
    for item in items:
        seconds = item.get("windowSeconds", item.get("window"))
        window = _bounded(int(seconds)) if seconds is not None else USUAL_WINDOW
        found[item["describedObject"]["name"]] = Sample(_thousandths(item["value"]), _moment(item), window)
    return found


@_understood
def object_value(items: Sequence[Document]) -> int:
    """A metric of one object. Raises Unknown."""
    if len(items) != 1:
        raise Unknown(f"the custom metrics API server returned {len(items)} results when we asked for exactly one")
    return _thousandths(items[0]["value"])


@_understood
def external_values(items: Sequence[Document]) -> list[int]:
    """The series of an external metric. Raises Unknown."""
    if not items:
        raise Unknown("no metrics returned from external metrics API")
    return [_thousandths(item["value"]) for item in items]


def _thousandths(quantity: Any) -> int:
    try:
        return milli(quantity)
    except QuantityError as error:
        raise Unknown(f"{quantity!r}: {error}") from error


def _moment(item: Document) -> datetime:
    moment = datetime.fromisoformat(item["timestamp"])
    if moment.tzinfo is None:
        raise ValueError(f"the time {moment} has no zone")
    return moment


def _window(text: str | None) -> timedelta:
    """Go's notation: `30s`, `1m0s`."""
    parts = _PART.findall(text or "")
    return _bounded(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def _bounded(seconds: float) -> timedelta:
    return timedelta(seconds=max(0.0, min(seconds, _LONGEST_WINDOW.total_seconds())))
