"""What the scheduler counts, under Kubernetes' names and with its labels.

Source: kube-scheduler's metrics.
"""

from __future__ import annotations

from .change import Change, Event
from .tallies import Counter, Gauge, Histogram, exponential

SCHEDULED, UNSCHEDULABLE, ERROR = "scheduled", "unschedulable", "error"

#: Why pods come into a queue, where it is not an event in the cluster.
POD_ADDED = "UnschedulablePodAdd"
POD_UPDATED = "UnschedulablePodUpdate"
FAILURE = "ScheduleAttemptFailure"
BACKOFF_OVER = "BackoffComplete"
EARLY = "PopFromBackoffQ"
ACTIVATED = "ForceActivate"
TIMEOUT = "UnschedulableTimeout"

ATTEMPTS = Counter(
    "scheduler_schedule_attempts_total",
    "Attempts to schedule a pod, by result: scheduled, unschedulable, error.",
    ["result", "profile"],
)
DECISION_SECONDS = Histogram(
    "scheduler_scheduling_algorithm_duration_seconds",
    "Time taken by one decision.",
    buckets=(0.00005, 0.0001, 0.0002, 0.0005, *exponential(0.001, 2, 15)),
)
POD_SECONDS = Histogram(
    "scheduler_pod_scheduling_sli_duration_seconds",
    "Time from a pod's arrival in the queue to its binding, by the number of attempts.",
    ["attempts"],
    buckets=exponential(0.01, 2, 20),
)
INCOMING = Counter(
    "scheduler_queue_incoming_pods_total",
    "Pods that came into a queue, by queue and by what moved them.",
    ["queue", "event"],
)
PENDING = Gauge("scheduler_pending_pods", "Pods waiting, by queue: active, backoff, unschedulable, gated.", ["queue"])
REJECTED = Gauge(
    "scheduler_unschedulable_pods",
    "Pods that were rejected at their last attempt, by plugin; a pod counts for each plugin.",
    ["plugin", "profile"],
)

_LABELS = {
    Change.NODE_ADDED: "NodeAdd",
    Change.NODE_REMOVED: "NodeDelete",
    Change.NODE_ALLOCATABLE: "NodeUpdateNodeAllocatable",
    Change.NODE_LABELS: "NodeUpdateNodeLabel",
    Change.NODE_TAINTS: "NodeUpdateNodeTaint",
    Change.POD_REMOVED: "AssignedPodDelete",
    Change.PEERS: "AssignedPodAdd",
}


def label(event: Event) -> str:
    """What Kubernetes calls an event: of several changes, the one that matters most."""
    for change, text in _LABELS.items():
        if event.change & change:
            return text
    about = event.new or event.old
    kind = about.kind if about is not None else ""
    return f"{kind or 'Other'}{'Delete' if event.new is None else 'Add' if event.old is None else 'Update'}"


def attempts_label(attempts: int) -> str:
    """Kubernetes counts them one by one up to fourteen."""
    return str(attempts) if attempts < 15 else "15+"
