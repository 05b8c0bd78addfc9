"""Pods and runtime states for tests, with little typing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from k8slite.kinds.core import Pod
from k8slite.kubelet.plan import spec_hash
from k8slite.kubelet.runtime.base import Container, PodRef, PodState, Sandbox, State

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
REF = PodRef("u1", "web", "default")


def pod(*names: str, init: tuple[str, ...] = (), sidecars: tuple[str, ...] = (), **spec: Any) -> Pod:
    inits = [{"name": name, "image": "img"} for name in init]
    inits += [{"name": name, "image": "img", "restartPolicy": "Always"} for name in sidecars]
    main = spec.pop("main", {})
    containers = [{"name": name, "image": "img", **main} for name in names or ("main",)]
    metadata = {"name": "web", "namespace": "default", "uid": "u1", **spec.pop("metadata", {})}
    status = spec.pop("status", {})
    return Pod.model_validate(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": containers, "initContainers": inits, **spec},
            "status": status,
        }
    )


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def container(of: Pod, name: str = "main", state: State = State.RUNNING, **fields: Any) -> Container:
    model = next(c for c in of.spec.every_container if c.name == name)
    attempt = fields.pop("attempt", 0)
    values: dict[str, Any] = {
        "id": f"{name}-{attempt}",
        "pod": REF,
        "name": name,
        "attempt": attempt,
        "state": state,
        "sandbox_id": "s0",
        "spec_hash": spec_hash(model),
        "created_at": at(1),
        "started_at": at(1) if state is not State.CREATED else None,
        "finished_at": at(2) if state is State.EXITED else None,
        **fields,
    }
    return Container(**values)


def runs(*containers: Container, sandbox: bool = True) -> PodState:
    shell = Sandbox("s0", REF, running=sandbox, ip="10.0.0.5", pid=7, created_at=T0)
    return PodState(REF, (shell,), tuple(sorted(containers, key=lambda c: (c.name, -c.attempt))))


NOTHING = PodState(REF)
