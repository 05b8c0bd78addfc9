"""What the controller counts, under upstream's names.

Source: pkg/controller/podautoscaler/monitor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

from k8slite.clock import Clock

_BUCKETS = tuple(0.001 * 2**power for power in range(15))

RECONCILIATIONS = Counter(
    "horizontal_pod_autoscaler_controller_reconciliations_total",
    "Looks at autoscalers, by what was done and whose fault an error was (spec, internal).",
    ["action", "error"],
)
RECONCILIATION_SECONDS = Histogram(
    "horizontal_pod_autoscaler_controller_reconciliation_duration_seconds",
    "How long a look takes.",
    ["action", "error"],
    buckets=_BUCKETS,
)
COMPUTATIONS = Counter(
    "horizontal_pod_autoscaler_controller_metric_computation_total",
    "Metrics that were asked and judged, by what they proposed.",
    ["action", "error", "metric_type"],
)
COMPUTATION_SECONDS = Histogram(
    "horizontal_pod_autoscaler_controller_metric_computation_duration_seconds",
    "How long one metric takes.",
    ["action", "error", "metric_type"],
    buckets=_BUCKETS,
)
AUTOSCALERS = Gauge(
    "horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers", "Autoscalers that there are."
)
DESIRED = Gauge(
    "horizontal_pod_autoscaler_controller_desired_replicas",
    "Replicas that an autoscaler wants.",
    ["namespace", "hpa_name"],
)


def action(old: int, new: int | None) -> str:
    """What a number of replicas means for another one."""
    if new is None or new == old:
        return "none"
    return "scale_up" if new > old else "scale_down"


@dataclass(slots=True)
class Reconciliation:
    """How a look at an autoscaler ended."""

    action: str = "none"
    error: str = "none"


@contextmanager
def reconciliation(clock: Clock) -> Iterator[Reconciliation]:
    """Count a look, however it ends."""
    began, ended = clock.monotonic(), Reconciliation()
    try:
        yield ended
    except Exception:
        ended.error = "internal"
        raise
    finally:
        RECONCILIATIONS.labels(ended.action, ended.error).inc()
        RECONCILIATION_SECONDS.labels(ended.action, ended.error).observe(clock.monotonic() - began)


def computed(metric_type: str, *, action: str, error: str, seconds: float) -> None:
    """Count a metric."""
    COMPUTATIONS.labels(action, error, metric_type).inc()
    COMPUTATION_SECONDS.labels(action, error, metric_type).observe(seconds)
