"""What the scheduler counts, under Kubernetes' names and with its labels.

Source: kube-scheduler's metrics.
"""

from __future__ import annotations

from .change import Change, Event
from .tallies import Counter, Gauge, Histogram, exponential
from .view import Pod
from .waiting import Waiting

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
ATTEMPT_SECONDS = Histogram(
    "scheduler_scheduling_attempt_duration_seconds",
    "Time taken by an attempt: decision and binding.",
    ["result", "profile"],
    buckets=exponential(0.001, 2, 15),
)
DECISION_SECONDS = Histogram(
    "scheduler_scheduling_algorithm_duration_seconds",
    "Time taken by one decision.",
    buckets=(0.00005, 0.0001, 0.0002, 0.0005, *exponential(0.001, 2, 15)),
)
POINT_SECONDS = Histogram(
    "scheduler_framework_extension_point_duration_seconds",
    "Time taken by all plugins of an extension point; Bind always, the others in one attempt of ten.",
    ["extension_point", "status", "profile"],
    buckets=(0.00001, 0.00002, 0.00005, *exponential(0.0001, 2, 12)),
)
PLUGIN_SECONDS = Histogram(
    "scheduler_plugin_execution_duration_seconds",
    "Time taken by a plugin at an extension point; one attempt in ten is measured.",
    ["plugin", "extension_point", "status"],
    buckets=exponential(0.00001, 1.5, 20),
)
PLUGIN_EVALUATIONS = Counter(
    "scheduler_plugin_evaluation_total",
    "Attempts in which a plugin was asked, from one attempt in ten; what is remembered of a shape nobody is asked.",
    ["plugin", "extension_point", "profile"],
)
POD_SECONDS = Histogram(
    "scheduler_pod_scheduling_sli_duration_seconds",
    "Time from a pod's arrival in the queue to its binding, by the number of attempts.",
    ["attempts"],
    buckets=exponential(0.01, 2, 20),
)
POD_ATTEMPTS = Histogram(
    "scheduler_pod_scheduling_attempts", "Attempts that a pod took until it was bound.", buckets=exponential(1, 2, 5)
)
AFTER_FLUSH = Counter(
    "scheduler_pod_scheduled_after_flush_total",
    "Pods bound after five minutes of waiting for an event that would help them: a hint was missing.",
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
PREEMPTION_ATTEMPTS = Counter("scheduler_preemption_attempts_total", "Attempts to make room by preemption.")
PREEMPTION_VICTIMS = Histogram(
    "scheduler_preemption_victims", "Pods chosen as victims of one preemption.", buckets=exponential(1, 2, 7)
)
EVICTION_SECONDS = Histogram(
    "scheduler_preemption_goroutines_duration_seconds",
    "Time taken by the calls for the victims of one preemption.",
    ["result"],
    buckets=exponential(0.01, 2, 20),
)
EVICTIONS = Counter(
    "scheduler_preemption_goroutines_execution_total",
    "Preemptions whose calls have been made, by result: success, error (the preemptor is tried again).",
    ["result"],
)
PERMIT_SECONDS = Histogram(
    "scheduler_permit_wait_duration_seconds",
    "How long pods waited for permit plugins, by what came of it.",
    ["result"],
    buckets=exponential(0.001, 2, 15),
)
EVENT_SECONDS = Histogram(
    "scheduler_event_handling_duration_seconds",
    "Time taken over an event in the cluster.",
    ["event"],
    buckets=exponential(0.0001, 2, 12),
)
INFLIGHT_EVENTS = Gauge(
    "scheduler_inflight_events", "Events that are remembered for pods that are being scheduled.", ["event"]
)
HINT_SECONDS = Histogram(
    "scheduler_queueing_hint_execution_duration_seconds",
    "Time taken by a plugin to say whether an event helps a pod.",
    ["plugin", "event", "hint"],
    buckets=exponential(0.00001, 1.5, 20),
)
CACHE_SIZE = Gauge("scheduler_cache_size", "Nodes, placed pods, and placed pods not known to be bound.", ["type"])
VOLUME_ERRORS = Counter(
    "scheduler_volume_scheduling_stage_error_total",
    "Failures to promise a pod its volumes (assume), and to have them bound (bind).",
    ["operation"],
)
GOROUTINES = Gauge("scheduler_goroutines", "Tasks at work, by what they do: binding.", ["operation"])


def attempted(waiting: Waiting, result: str, seconds: float) -> None:
    """An attempt ended."""
    profile = waiting.pod.spec.scheduler_name
    ATTEMPTS.add(result, profile)
    ATTEMPT_SECONDS.observe(seconds, result, profile)


def bound(waiting: Waiting, seconds: float) -> None:
    """A pod was bound, so long after it arrived."""
    attempts = waiting.attempts
    POD_SECONDS.observe(seconds, str(attempts) if attempts < 15 else "15+")
    POD_ATTEMPTS.observe(attempts)
    if waiting.flushed:
        AFTER_FLUSH.add()


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


def pod_label(old: Pod | None, new: Pod | None) -> str:
    """What Kubernetes calls a change of a pod."""
    about = new if new is not None else old
    where = "Assigned" if about is not None and about.spec.node_name else "Unschedulable"
    return f"{where}Pod{'Delete' if new is None else 'Add' if old is None else 'Update'}"
