"""What happens next to a pod or a node, and when: pure functions of the object and the table of stages.

Chance is drawn from a digest of the seed, the stage and the object, so that nothing hangs on the order of events: the
same object fares the same in another run, and after a restart in the middle of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from k8slite.durations import read

from .facts import NodeState, Pod, PodState, ends
from .stages import Delay, NodeNext, PodNext, PodStage, Stage, Stages, Whose, seconds

_KILLED = 143
"""The exit code of what SIGTERM ended."""
_OVERDUE = PodNext(
    state="Failed",
    exit_code=137,
    reason="DeadlineExceeded",
    message="Pod was active on the node longer than the specified deadline",
)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a pod, in so many seconds from now."""

    next: PodNext
    wait: float


@dataclass(frozen=True, slots=True)
class NodeStep:
    """The same for a node."""

    next: NodeNext
    wait: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pod's status is to say."""

    state: PodState
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    extra: Mapping[str, object] | None = None


def pod_step(
    pod: Pod,
    *,
    state: PodState,
    node_labels: Mapping[str, str],
    node_ready: bool,
    stages: Stages,
    elapsed: float,
    now: datetime,
) -> Step | None:
    """The pod's next step; None if it stays as it is until something else changes it.

    `state` is `pod.state`, and `elapsed` how many seconds the pod has been in it.
    """
    if pod.deleting and not pod.metadata.deletion_grace_period_seconds and not _owes_status(pod):
        return None  # what a kubelet has to say was said; it is for others to let the object go
    if state == "Running" and node_ready and _has_drifted(pod):
        return Step(PodNext(state="Running"), 0.0)
    step = _staged(pod, state=state, node_labels=node_labels, stages=stages, elapsed=elapsed)
    if pod.spec.active_deadline_seconds and not pod.finished and (started := read(pod.status.get("startTime"))):
        left = max(0.0, pod.spec.active_deadline_seconds - (now - started).total_seconds())
        if step is None or step.wait > left:
            return Step(_OVERDUE, left)
    return step


def _staged(
    pod: Pod, *, state: PodState, node_labels: Mapping[str, str], stages: Stages, elapsed: float
) -> Step | None:
    for stage in stages.pod_table[state, pod.deleting]:
        if _matches(stage, pod, node_labels) and _comes_up(stage, pod.key, pod.restarts, stages.seed):
            return Step(stage.next, max(0.0, _pod_delay(stage, pod, stages.seed) - elapsed))
    return None


def outcome(pod: Pod, next_: PodNext) -> Outcome | None:
    """What a stage makes of the pod's status; None if the object is to be removed."""
    code = next_.exit_code
    if code is None:
        found = ends(pod)
        code = found[1] if found else int(next_.state == "Failed")
    made = Outcome("Failed", code, next_.reason, next_.message, next_.status)
    match next_.state:
        case "Deleted":
            return replace(made, exit_code=_KILLED) if _owes_status(pod) else None
        case "Ended":
            policy = pod.spec.restart_policy
            again = not pod.deleting and (policy == "Always" or (policy == "OnFailure" and code))
            return replace(made, state="CrashLoopBackOff" if again else "Failed" if code else "Succeeded")
        case "CrashLoopBackOff" if next_.exit_code is None:
            return replace(made, state="CrashLoopBackOff", exit_code=code or 1)
        case state:
            return replace(made, state=state)


def _owes_status(pod: Pod) -> bool:
    """Whether somebody holds a pod that is being deleted and waits to read how it ended, as Jobs do."""
    return bool(pod.metadata.finalizers) and not pod.finished


def _has_drifted(pod: Pod) -> bool:
    """Whether what a running pod's status says is not true any more: somebody else changed it, or what it hangs on."""
    seen = pod.status.get("observedGeneration")
    if seen and seen != pod.metadata.generation:
        return True
    if len(pod.status.get("ephemeralContainerStatuses") or ()) != len(pod.spec.ephemeral_containers):
        return True
    return pod.holds("Ready") == bool(pod.shut_gate)


def _matches(stage: PodStage, pod: Pod, node_labels: Mapping[str, str]) -> bool:
    if stage.next.state == "Initializing" and not pod.spec.init_containers:
        return False
    match = stage.match
    return is_whose(match, pod, node_labels) and (match.ends is None or match.ends == _ends_for_good(pod))


def is_whose(match: Whose, pod: Pod, node_labels: Mapping[str, str]) -> bool:
    """Whether a pod is one of those, on a node with these labels."""
    metadata = pod.metadata
    if match.owner and not ((owner := metadata.controller) and owner.kind == match.owner):
        return False
    if match.namespaces and metadata.namespace not in match.namespaces:
        return False
    if match.selector and not match.labels.matches(metadata.labels):
        return False
    if match.annotations and not match.marks.matches(metadata.annotations):
        return False
    return not match.node or match.node_labels.matches(node_labels)


def _ends_for_good(pod: Pod) -> bool:
    """Whether commands say when they end, and the pod is not one that is started again whatever they say."""
    return pod.spec.restart_policy != "Always" and ends(pod) is not None


def _pod_delay(stage: PodStage, pod: Pod, seed: int) -> float:
    base = _said(stage.delay, pod.metadata.annotations)
    if base is None and stage.match.ends and (found := ends(pod)):
        base = found[0]
    base = stage.delay.seconds if base is None else base
    if stage.delay.backoff:
        base = min(base * 2.0 ** min(pod.restarts, 40), stage.delay.backoff)
    delay = base + _jitter(stage, pod.key, pod.restarts, seed)
    grace = pod.metadata.deletion_grace_period_seconds
    return min(delay, grace) if pod.deleting and grace is not None else delay


def node_step(
    *,
    name: str,
    state: NodeState,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    turn: int,
    stages: Stages,
    elapsed: float,
) -> NodeStep | None:
    """A node's next step; None if it stays as it is. `turn` counts the stages that it has been through."""
    for stage in stages.nodes:
        match = stage.match
        if (
            (not match.state or state in match.state)
            and match.labels.matches(labels)
            and match.marks.matches(annotations)
            and _comes_up(stage, name, turn, stages.seed)
        ):
            base = _said(stage.delay, annotations)
            delay = (stage.delay.seconds if base is None else base) + _jitter(stage, name, turn, stages.seed)
            return NodeStep(stage.next, max(0.0, delay - elapsed))
    return None


def _said(delay: Delay, annotations: Mapping[str, str]) -> float | None:
    return seconds(annotations.get(delay.annotation, "")) if delay.annotation else None


def _comes_up(stage: Stage, key: str, turn: int, seed: int) -> bool:
    return stage.chance >= 1 or _draw(seed, "chance", stage.name, key, turn) < stage.chance


def _jitter(stage: Stage, key: str, turn: int, seed: int) -> float:
    return stage.delay.jitter * _draw(seed, "jitter", stage.name, key, turn) if stage.delay.jitter else 0.0


def _draw(seed: int, purpose: str, stage: str, key: str, turn: int) -> float:
    """A number from 0 to below 1 that only the arguments decide."""
    text = f"{seed}|{purpose}|{stage}|{key}|{turn}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48
