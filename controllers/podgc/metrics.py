"""What the pod garbage collector counts, under upstream's names."""

from __future__ import annotations

from prometheus_client import Counter

FORCED = Counter(
    "pod_gc_collector_force_delete_pods_total",
    "Pods that were deleted by force, by what for: terminated, orphaned, out-of-service, unscheduled.",
    ["namespace", "reason"],
)
FAILED = Counter(
    "pod_gc_collector_force_delete_pod_errors_total", "Deletions by force that failed.", ["namespace", "reason"]
)
