"""Pods on simulated nodes, and what the API makes of a patch, with little typing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from k8slite.clock import timestamp
from k8slite.kubelet.simulated.decide import Outcome, Step, outcome, pod_step
from k8slite.kubelet.simulated.facts import Pod
from k8slite.kubelet.simulated.pod_status import pod_status
from k8slite.kubelet.simulated.stages import Stages

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
Json = dict[str, Any]


def document(name: str = "web", *, metadata: Json | None = None, status: Json | None = None, **spec: Any) -> Json:
    """A pod that was bound a moment ago, of one container."""
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": timestamp(T0)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1} | (metadata or {}),
        "spec": {"nodeName": "node-0", "containers": [{"name": "main", "image": "img"}]} | spec,
        "status": {"phase": "Pending", "conditions": [scheduled]} if status is None else status,
    }


def read(pod: Json) -> Pod:
    """As the informer has it."""
    return Pod.model_validate(pod)


def step(pod: Json, stages: Stages | None = None, *, elapsed: float = 0.0, **more: Any) -> Step | None:
    """The pod's next step."""
    seen = read(pod)
    given: Json = {"node_labels": {}, "node_ready": True, "now": T0} | more
    return pod_step(seen, state=seen.state, stages=stages or Stages(), elapsed=elapsed, **given)


def after(pod: Json, made: Outcome, *, now: datetime = T0) -> Json:
    """The pod once the API has merged the status in."""
    patch = pod_status(read(pod), made, now=timestamp(now), host_ip="192.0.2.1", pod_ip="10.0.0.2")
    conditions = {one["type"]: one for one in pod["status"].get("conditions", [])}
    for one in patch["conditions"]:
        merged = conditions.get(one["type"], {}) | one
        conditions[one["type"]] = {key: value for key, value in merged.items() if value is not None}
    addresses = {key: [one for one in patch[key] if "ip" in one] for key in ("podIPs", "hostIPs") if key in patch}
    return pod | {"status": pod["status"] | patch | addresses | {"conditions": list(conditions.values())}}


def happens(pod: Json, stages: Stages | None = None, *, now: datetime = T0, **more: Any) -> Json | None:
    """The pod after its next step; None once it is removed. There must be one."""
    found = step(pod, stages, elapsed=1e9, now=now, **more)
    assert found is not None
    made = outcome(read(pod), found.next)
    return after(pod, made, now=now) if made is not None else None


def deleted(pod: Json, *, grace: int = 30, finalizers: tuple[str, ...] = ()) -> Json:
    """The pod after a client has asked for its deletion."""
    ending = {"deletionTimestamp": timestamp(T0), "deletionGracePeriodSeconds": grace, "finalizers": list(finalizers)}
    return pod | {"metadata": pod["metadata"] | ending}
