"""What `kubectl get pods` shows. Its STATUS is a word of its own, found by looking at every container's state.

Source: Kubernetes' printers (`printPod`) for which state wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8slite.durations import human_duration, read

from .base import AGE, NAME, NONE, Column, Document, at, computed, condition, is_true

_TERMINAL = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Summary:
    """A pod in a row: `last_restart` is the end of the newest container that was replaced."""

    ready: int
    total: int
    reason: str
    restarts: int
    last_restart: datetime | None


def summarize(pod: Document) -> Summary:
    """Everything that the row needs to know of a pod's containers."""
    sidecars = {each["name"] for each in at(pod, "spec.initContainers", ()) if each.get("restartPolicy") == "Always"}
    total = len(at(pod, "spec.containers", ())) + len(sidecars)
    reason = at(pod, "status.reason", "") or at(pod, "status.phase", "")
    if (condition(pod, "PodScheduled") or {}).get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    inits = at(pod, "status.initContainerStatuses", ())
    trouble, seen, ready = _initialization(inits, sidecars, len(at(pod, "spec.initContainers", ())))
    counted: Sequence[Document] = inits[:seen]
    if trouble:
        reason = trouble
    if not trouble or is_true(pod, "Initialized"):
        statuses = at(pod, "status.containerStatuses", ())
        reason, running = _running(statuses, reason)
        ready += running
        if reason == "Completed" and running:
            reason = "Running" if is_true(pod, "Ready") else "NotReady"
        counted = [*statuses, *(each for each in inits[:seen] if each.get("name") in sidecars)]
    if at(pod, "metadata.deletionTimestamp"):
        if at(pod, "status.reason") == "NodeLost":
            reason = "Unknown"
        elif at(pod, "status.phase") not in _TERMINAL:
            reason = "Terminating"
    ends = [read(at(each, "lastState.terminated.finishedAt")) for each in counted]
    return Summary(
        ready=ready,
        total=total,
        reason=reason,
        restarts=sum(each.get("restartCount") or 0 for each in counted),
        last_restart=max((end for end in ends if end), default=None),
    )


def _initialization(inits: Sequence[Document], sidecars: set[str], wanted: int) -> tuple[str, int, int]:
    """The word for an initialization that is not over (empty if it is), containers looked at, sidecars ready."""
    ready = 0
    for index, status in enumerate(inits):
        terminated, waiting = at(status, "state.terminated"), at(status, "state.waiting")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if status.get("name") in sidecars and status.get("started"):
            ready += bool(status.get("ready"))
            continue
        if terminated is not None:
            return "Init:" + _ending(terminated), index + 1, ready
        if waiting and waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return "Init:" + waiting["reason"], index + 1, ready
        return f"Init:{index}/{wanted}", index + 1, ready
    return "", len(inits), ready


def _running(statuses: Sequence[Document], reason: str) -> tuple[str, int]:
    """The word for the containers (the first one's counts most) and how many of them are ready."""
    ready = 0
    for status in reversed(statuses):
        terminated = at(status, "state.terminated")
        if waiting := at(status, "state.waiting.reason", ""):
            reason = waiting
        elif terminated is not None:
            reason = _ending(terminated)
        elif status.get("ready") and at(status, "state.running") is not None:
            ready += 1
    return reason, ready


def _ending(terminated: Document) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _restarts(pod: Document, now: datetime) -> str:
    found = summarize(pod)
    if found.restarts and found.last_restart:
        return f"{found.restarts} ({human_duration(now - found.last_restart)} ago)"
    return str(found.restarts)


def _ready(pod: Document) -> str:
    found = summarize(pod)
    return f"{found.ready}/{found.total}"


def _address(pod: Document) -> str:
    addresses: list[Any] = at(pod, "status.podIPs", [])
    return (addresses[0].get("ip") if addresses else at(pod, "status.podIP")) or NONE


def _gates(pod: Document) -> str:
    gates = at(pod, "spec.readinessGates", ())
    passed = sum(is_true(pod, gate.get("conditionType", "")) for gate in gates)
    return f"{passed}/{len(gates)}" if gates else NONE


POD = (
    NAME,
    computed("Ready", _ready),
    computed("Status", lambda pod: summarize(pod).reason),
    Column("Restarts", _restarts),
    AGE,
    computed("IP", _address, wide=True),
    computed("Node", lambda pod: at(pod, "spec.nodeName") or NONE, wide=True),
    computed("Nominated Node", lambda pod: at(pod, "status.nominatedNodeName") or NONE, wide=True),
    computed("Readiness Gates", _gates, wide=True),
)


def finished(pod: Document) -> list[Document]:
    """The row conditions by which clients tell pods that are over."""
    phase = at(pod, "status.phase")
    if phase not in _TERMINAL:
        return []
    message = "The pod has completed successfully." if phase == "Succeeded" else "The pod failed."
    return [{"type": "Completed", "status": "True", "reason": phase, "message": message}]
