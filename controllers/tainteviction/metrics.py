"""What taint eviction counts, under upstream's names."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

DELETIONS = Counter("taint_eviction_controller_pod_deletions_total", "Pods that were deleted for a taint.")
LATENCY = Histogram(
    "taint_eviction_controller_pod_deletion_duration_seconds",
    "How long after its time was up a pod was deleted.",
    buckets=(0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 120.0, 180.0, 240.0),
)
