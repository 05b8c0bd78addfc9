"""The status of a simulated pod: what a kubelet would report of it, in one patch.

Source: Kubernetes documentation, "Pod Lifecycle"; the API reference of PodStatus and ContainerStatus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .decide import Outcome
from .facts import ContainerFacts, Json, Pod, PodState

_PHASES: Mapping[PodState, str] = {
    "Pending": "Pending",
    "ImagePullBackOff": "Pending",
    "Initializing": "Pending",
    "Running": "Running",
    "Unready": "Running",
    "CrashLoopBackOff": "Running",
    "Succeeded": "Succeeded",
    "Failed": "Failed",
}
_OVER = ("Succeeded", "Failed")


def pod_status(pod: Pod, outcome: Outcome, *, now: str, host_ip: str, pod_ip: str) -> Json:
    """The status for a strategic merge patch. `now` is a timestamp of the API."""
    state, spec = outcome.state, pod.spec
    phase = _PHASES[state]
    known = _by_name(pod.status.get("containerStatuses"))
    mains = [_main(one, known.get(one.name), pod, outcome, now) for one in spec.containers]
    status: Json = {
        "phase": phase,
        "conditions": _conditions(pod, outcome, now=now),
        "containerStatuses": mains,
    }
    if spec.init_containers:
        known = _by_name(pod.status.get("initContainerStatuses"))
        waiting = False
        inits = status["initContainerStatuses"] = []
        for one in spec.init_containers:
            inits.append(_init(one, known.get(one.name), pod, outcome, now, waiting=waiting))
            waiting = waiting or (state == "Initializing" and not one.sidecar)
    if spec.ephemeral_containers:
        known = _by_name(pod.status.get("ephemeralContainerStatuses"))
        status["ephemeralContainerStatuses"] = [
            _main(one, known.get(one.name), pod, outcome, now) for one in spec.ephemeral_containers
        ]
    if not pod.status.get("startTime"):
        status["startTime"] = now
    old = pod.status.get("podIP")
    if old != pod_ip:
        # Addresses are merged by key, so others have to say that they replace the list.
        stale = [{"$patch": "replace"}] if old else []
        status |= {"hostIP": host_ip, "hostIPs": [*stale, {"ip": host_ip}]}
        if pod_ip:
            status |= {"podIP": pod_ip, "podIPs": [*stale, {"ip": pod_ip}]}
    if phase == "Failed" and outcome.reason:
        status |= {"reason": outcome.reason, "message": outcome.message}
    if pod.metadata.generation:
        status["observedGeneration"] = pod.metadata.generation
    return _extended(status, outcome.extra) if outcome.extra else status


def _by_name(statuses: list[Json] | None) -> Mapping[str, Json]:
    return {one["name"]: one for one in statuses or ()}


def _main(model: ContainerFacts, old: Json | None, pod: Pod, outcome: Outcome, now: str) -> Json:
    match outcome.state:
        case "Running" | "Unready":
            return _running(model, old, pod, now, ready=outcome.state == "Running")
        case "CrashLoopBackOff":
            return _crashed(model, old, pod, outcome, now)
        case "Succeeded" | "Failed":
            return _terminated(model, old, pod, now, code=outcome.exit_code)
        case "ImagePullBackOff":
            message = outcome.message or f'Back-off pulling image "{model.image}"'
            return _waiting(model, old, "ImagePullBackOff", message)
        case _:
            return _waiting(model, old, "PodInitializing" if pod.spec.init_containers else "ContainerCreating")


def _init(model: ContainerFacts, old: Json | None, pod: Pod, outcome: Outcome, now: str, *, waiting: bool) -> Json:
    if waiting or outcome.state == "Pending":
        return _waiting(model, old, "PodInitializing")
    if outcome.state == "Initializing" or (model.sidecar and outcome.state not in _OVER):
        return _running(model, old, pod, now, ready=model.sidecar)
    ended = ((old or {}).get("state") or {}).get("terminated")
    return old if old is not None and ended else _terminated(model, old, pod, now, code=0) | {"ready": True}


def _running(model: ContainerFacts, old: Json | None, pod: Pod, now: str, *, ready: bool) -> Json:
    before = (old or {}).get("state") or {}
    restarts = (old or {}).get("restartCount") or 0
    if (before.get("waiting") or {}).get("reason") == "CrashLoopBackOff":
        restarts += 1
    since = (before.get("running") or {}).get("startedAt") or now
    made = _container(model, old, restarts, {"running": {"startedAt": since}})
    return made | {"containerID": _id(model, pod, restarts), "ready": ready, "started": True}


def _crashed(model: ContainerFacts, old: Json | None, pod: Pod, outcome: Outcome, now: str) -> Json:
    restarts = (old or {}).get("restartCount") or 0
    back_off = min(10 * 2**restarts, 300)
    message = outcome.message or (
        f"back-off {back_off}s restarting failed container={model.name} pod={pod.name}_{pod.namespace}({pod.uid})"
    )
    made = _container(model, old, restarts, {"waiting": {"reason": "CrashLoopBackOff", "message": message}})
    ended = _end(model, old, pod, now, code=outcome.exit_code, reason=outcome.reason)
    return made | {"containerID": _id(model, pod, restarts), "lastState": {"terminated": ended}, "started": False}


def _terminated(model: ContainerFacts, old: Json | None, pod: Pod, now: str, *, code: int) -> Json:
    restarts = (old or {}).get("restartCount") or 0
    made = _container(model, old, restarts, {"terminated": _end(model, old, pod, now, code=code)})
    return made | {"containerID": _id(model, pod, restarts), "started": False}


def _waiting(model: ContainerFacts, old: Json | None, reason: str, message: str = "") -> Json:
    waiting = {"reason": reason} | ({"message": message} if message else {})
    made = _container(model, old, (old or {}).get("restartCount") or 0, {"waiting": waiting})
    return made | {"imageID": "", "started": False}


def _container(model: ContainerFacts, old: Json | None, restarts: int, state: Json) -> Json:
    return {
        "name": model.name,
        "image": model.image,
        "imageID": f"simulated://{model.image}",
        "ready": False,
        "restartCount": restarts,
        "state": state,
        "lastState": (old or {}).get("lastState") or {},
    }


def _end(model: ContainerFacts, old: Json | None, pod: Pod, now: str, *, code: int, reason: str = "") -> Json:
    before, restarts = (old or {}).get("state") or {}, (old or {}).get("restartCount") or 0
    return {
        "exitCode": code,
        "reason": reason or ("Error" if code else "Completed"),
        "startedAt": (before.get("running") or {}).get("startedAt") or now,
        "finishedAt": now,
        "containerID": _id(model, pod, restarts),
    }


def _id(model: ContainerFacts, pod: Pod, restarts: int) -> str:
    return f"simulated://{pod.uid}-{model.name}-{restarts}"


def _conditions(pod: Pod, outcome: Outcome, *, now: str) -> list[Json]:
    state = outcome.state
    over, running = state in _OVER, state in ("Running", "Unready", "CrashLoopBackOff")
    names = " ".join(one.name for one in pod.spec.containers)
    if over:
        unready = ("PodCompleted" if state == "Succeeded" else "PodFailed", "")
    else:
        unready = ("ContainersNotReady", f"containers with unready status: [{names}]")
    ready = state == "Running"
    shut = pod.shut_gate
    initialised = running or over or not pod.spec.init_containers
    inits = " ".join(one.name for one in pod.spec.init_containers if not one.sidecar)
    gate = (
        ("ReadinessGatesNotReady", f'corresponding condition of pod readiness gate "{shut}" is not "True"')
        if ready and shut
        else unready
    )
    well = ("", "")
    found = {
        "PodReadyToStartContainers": (not over and state != "Pending", well),
        "Initialized": (
            initialised,
            well if initialised else ("ContainersNotInitialized", f"containers with incomplete status: [{inits}]"),
        ),
        "Ready": (ready and not shut, well if ready and not shut else gate),
        "ContainersReady": (ready, well if ready else unready),
        "PodScheduled": (True, well),
    }
    return [_condition(pod, kind, holds, *why, now=now) for kind, (holds, why) in found.items()]


def _condition(pod: Pod, kind: str, holds: bool, reason: str, message: str, *, now: str) -> Json:
    value = "True" if holds else "False"
    old = pod.condition(kind) or {}
    since = old.get("lastTransitionTime") if old.get("status") == value else None
    made: Json = {"type": kind, "status": value, "lastTransitionTime": since or now}
    # A merge keeps what is not named, so an old reason has to be taken away by name.
    if reason or old.get("reason"):
        made["reason"] = reason or None
    if message or old.get("message"):
        made["message"] = message or None
    if pod.metadata.generation:
        made["observedGeneration"] = pod.metadata.generation
    return made


def _extended(status: Json, extra: Mapping[str, Any]) -> Json:
    """With what a stage adds: conditions by type, all else as it stands there."""
    named = {one.get("type") for one in extra.get("conditions") or ()}
    conditions = [one for one in status["conditions"] if one["type"] not in named]
    return status | dict(extra) | {"conditions": [*conditions, *(extra.get("conditions") or ())]}
