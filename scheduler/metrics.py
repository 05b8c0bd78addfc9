"""What the scheduler counts, under Kubernetes' names."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS = Counter(
    "scheduler_schedule_attempts",
    "Attempts to schedule a pod, by result: scheduled, unschedulable, error.",
    ["result"],
)
DECISION_SECONDS = Histogram(
    "scheduler_scheduling_algorithm_duration_seconds",
    "Time taken by one decision.",
    buckets=(0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05),
)
POD_SECONDS = Histogram(
    "scheduler_pod_scheduling_sli_duration_seconds",
    "Time from a pod's arrival in the queue to its binding.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 300),
)
PENDING = Gauge("scheduler_pending_pods", "Pods waiting, by queue.", ["queue"])
