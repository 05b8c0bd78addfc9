"""A pod's status, computed from what runs: a pure function that returns what the API shall hold.

Source: Kubernetes documentation, "Pod Lifecycle"; the API reference of PodStatus and ContainerStatus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from k8slite.clock import timestamp
from k8slite.kinds.base import Condition
from k8slite.kinds.core import Container as ContainerModel
from k8slite.kinds.core import ContainerStatus, Pod

from . import resources
from .plan import Waiting, is_sidecar
from .runtime.base import Container, PodState, State

Json = dict[str, Any]
_TYPES = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


@dataclass(frozen=True, slots=True)
class Observed:
    """What a status is computed from.

    `waiting` by container name; `ready` and `started` hold container ids; `messages` are termination messages by
    container id. `ended` says that the pod will run nothing any more; `failure` is a reason and message if it was the
    node that ended it.
    """

    pod: Pod
    state: PodState
    now: datetime
    host_ip: str
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    ready: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    messages: Mapping[str, str] = field(default_factory=dict)
    ended: bool = False
    failure: tuple[str, str] | None = None
    id_prefix: str = "docker"


def pod_status(seen: Observed) -> Json:
    """The status of the pod for a strategic merge patch."""
    pod, sandbox = seen.pod, seen.state.sandbox
    inits = [_container(seen, model, init=True) for model in pod.spec.init_containers]
    mains = [_container(seen, model, init=False) for model in pod.spec.containers]
    initialised = _initialised(pod, inits)
    guests = [_container(seen, model, init=False) for model in pod.spec.ephemeral_containers]
    phase = _phase(seen, inits, mains, initialised=initialised)
    ip = seen.host_ip if pod.spec.host_network else (sandbox.ip if sandbox is not None else "")
    ip = ip or (pod.status.pod_ip if phase not in ("Pending", "") or sandbox is None else "")
    status: Json = {
        "phase": phase,
        "conditions": _conditions(seen, inits, mains, phase=phase, initialised=initialised),
        "hostIP": seen.host_ip,
        "hostIPs": [{"ip": seen.host_ip}],
        "startTime": timestamp(pod.status.start_time or seen.now),
        "qosClass": resources.qos_class(pod),
        "containerStatuses": mains,
    }
    if inits:
        status["initContainerStatuses"] = inits
    if guests:
        status["ephemeralContainerStatuses"] = guests
    if ip:
        status |= {"podIP": ip, "podIPs": _addresses(pod, ip)}
    if seen.failure is not None and phase == "Failed":
        status["reason"], status["message"] = seen.failure
    if pod.metadata.generation:
        status["observedGeneration"] = pod.metadata.generation
    return status


def _addresses(pod: Pod, ip: str) -> list[Json]:
    """Addresses are merged by key, so a changed one has to say that it replaces the list."""
    stale = [entry.ip for entry in pod.status.pod_ips if entry.ip != ip]
    return [*([{"$patch": "replace"}] if stale else []), {"ip": ip}]


def _container(seen: Observed, model: ContainerModel, *, init: bool) -> Json:
    newest, previous = seen.state.newest(model.name), seen.state.previous(model.name)
    waiting = seen.waiting.get(model.name)
    reported = _reported(seen.pod, model.name)
    status: Json = {
        "name": model.name,
        "image": model.image,
        "imageID": "",
        "ready": False,
        "restartCount": newest.attempt if newest is not None else reported.restart_count if reported else 0,
        "started": False,
        "state": {},
        "lastState": {},
    }
    if newest is None:
        if reported is not None and reported.state.terminated is not None and seen.pod.finished:
            # The engine has lost the container of a pod that is over: what was reported stays true.
            return status | reported.to_wire()
        status["state"] = {"waiting": _waiting(waiting or _not_yet(seen, init=init))}
        return status
    status["imageID"] = f"{seen.id_prefix}://{newest.image_id}" if newest.image_id else ""
    status["containerID"] = f"{seen.id_prefix}://{newest.id}"
    last = previous
    match newest.state:
        case State.RUNNING:
            started_at = newest.started_at or newest.created_at or seen.now
            status["state"] = {"running": {"startedAt": timestamp(started_at)}}
            status["started"] = newest.id in seen.started
            status["ready"] = newest.id in seen.ready and (not init or is_sidecar(model))
        case State.CREATED:
            status["state"] = {"waiting": _waiting(waiting or _not_yet(seen, init=init))}
        case State.EXITED if waiting is not None:
            status["state"] = {"waiting": _waiting(waiting)}
            last = newest
        case State.EXITED:
            status["state"] = {"terminated": _terminated(seen, newest)}
            status["ready"] = init and newest.exit_code == 0
    if last is not None and last.state is State.EXITED:
        status["lastState"] = {"terminated": _terminated(seen, last)}
    return status


def _reported(pod: Pod, name: str) -> ContainerStatus | None:
    known = pod.status
    found = (*known.init_container_statuses, *known.container_statuses, *known.ephemeral_container_statuses)
    return next((status for status in found if status.name == name), None)


def _not_yet(seen: Observed, *, init: bool) -> Waiting:
    return Waiting("PodInitializing" if seen.pod.spec.init_containers else "ContainerCreating")


def _waiting(waiting: Waiting) -> Json:
    return {"reason": waiting.reason} | ({"message": waiting.message} if waiting.message else {})


def _terminated(seen: Observed, container: Container) -> Json:
    if container.error:
        reason = "ContainerCannotRun"
    elif container.oom_killed:
        reason = "OOMKilled"
    else:
        reason = "Completed" if container.exit_code == 0 else "Error"
    finished = container.finished_at or seen.now
    found: Json = {
        "exitCode": container.exit_code,
        "reason": reason,
        "startedAt": timestamp(container.started_at or finished),
        "finishedAt": timestamp(finished),
        "containerID": f"{seen.id_prefix}://{container.id}",
    }
    if message := seen.messages.get(container.id) or container.error:
        found["message"] = message
    return found


def _done(status: Mapping[str, Any]) -> bool:
    return bool("terminated" in status["state"] and status["state"]["terminated"]["exitCode"] == 0)


def _initialised(pod: Pod, inits: Sequence[Json]) -> bool:
    return all(
        status["started"] if is_sidecar(model) else _done(status)
        for model, status in zip(pod.spec.init_containers, inits, strict=True)
    )


def _phase(seen: Observed, inits: Sequence[Json], mains: Sequence[Json], *, initialised: bool) -> str:
    pod = seen.pod
    if pod.finished:
        return pod.status.phase
    if seen.failure is not None:
        return "Failed"
    policy = pod.spec.restart_policy
    began = any("running" in s["state"] or "terminated" in s["state"] or s["lastState"] for s in mains)
    broken = any("terminated" in s["state"] and not _done(s) for s in inits)
    if broken and policy == "Never":
        return "Failed"
    if not began and (not initialised or not seen.ended):
        return "Failed" if seen.ended and seen.pod.deleting else "Pending"
    running = [s for s in mains if "running" in s["state"]]
    waiting = [s for s in mains if "waiting" in s["state"] and not s["lastState"]]
    if waiting and not seen.ended:
        return "Pending"
    if running:
        return "Running"
    if policy == "Always" and not seen.ended:
        return "Running"
    if all(_done(s) for s in mains):
        return "Succeeded"
    return "Failed" if policy == "Never" or seen.ended else "Running"


def _conditions(
    seen: Observed, inits: Sequence[Json], mains: Sequence[Json], *, phase: str, initialised: bool
) -> list[Json]:
    sidecars = [s for m, s in zip(seen.pod.spec.init_containers, inits, strict=True) if is_sidecar(m)]
    over = phase in ("Succeeded", "Failed")
    unready = [s["name"] for s in (*mains, *sidecars) if not s["ready"]]
    if over:
        reason, message = ("PodCompleted" if phase == "Succeeded" else "PodFailed"), ""
    else:
        reason, message = "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    ready = not unready and phase == "Running"
    held = {c.type for c in seen.pod.status.conditions if c.status == "True"}
    gates = [gate.condition_type for gate in seen.pod.spec.readiness_gates if gate.condition_type not in held]
    incomplete = [
        s["name"]
        for m, s in zip(seen.pod.spec.init_containers, inits, strict=True)
        if not (s["started"] if is_sidecar(m) else _done(s))
    ]
    began = initialised or phase in ("Running", "Succeeded")
    states: dict[str, tuple[bool, str, str]] = {
        "PodReadyToStartContainers": (seen.state.sandbox is not None, "", ""),
        "Initialized": (
            began,
            "" if began else "ContainersNotInitialized",
            "" if began else f"containers with incomplete status: [{' '.join(incomplete)}]",
        ),
        "Ready": (
            ready and not gates,
            "" if ready and not gates else "ReadinessGatesNotReady" if ready else reason,
            ""
            if ready and not gates
            else f'corresponding condition of pod readiness gate "{gates[0]}" is not "True"'
            if ready
            else message,
        ),
        "ContainersReady": (ready, "" if ready else reason, "" if ready else message),
        "PodScheduled": (True, "", ""),
    }
    return [_condition(seen, kind, *states[kind]) for kind in _TYPES]


def _condition(seen: Observed, kind: str, holds: bool, reason: str, message: str) -> Json:
    value = "True" if holds else "False"
    old = next((c for c in seen.pod.status.conditions if c.type == kind), None)
    since = old.last_transition_time if old is not None and old.status == value else None
    condition: Json = {
        "type": kind,
        "status": value,
        "lastTransitionTime": timestamp(since or seen.now),
    }
    # A merge keeps what is not named, so an old reason has to be taken away by name.
    had_reason, had_message = (old.reason, old.message) if old is not None else ("", "")
    if reason or had_reason:
        condition["reason"] = reason or None
    if message or had_message:
        condition["message"] = message or None
    if seen.pod.metadata.generation:
        condition["observedGeneration"] = seen.pod.metadata.generation
    return condition


def own_conditions(reported: Sequence[Condition], own: Sequence[Condition]) -> list[Condition]:
    """The conditions with those that a kubelet writes as it last wrote them: its writes come back late."""
    mine = {condition.type: condition for condition in own if condition.type in _TYPES}
    return [*(c for c in reported if c.type not in mine), *mine.values()]
