"""Objects for tests, with what a test names and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from k8slite.controllers.pods import Pod
from k8slite.kinds.apps import DaemonSet, Deployment, ReplicaSet
from k8slite.kinds.core import Service

T0 = datetime(2026, 1, 1, tzinfo=UTC)
_serial = count()


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def pod(
    name: str = "",
    *,
    node: str = "n1",
    phase: str = "Running",
    ready: bool | float = True,
    ip: str = "10.0.0.1",
    owner: str = "rs",
    labels: dict[str, str] | None = None,
    deleting: bool = False,
    annotations: dict[str, str] | None = None,
    restarts: int = 0,
    created: float = 0.0,
    **spec: Any,
) -> Pod:
    """`ready` may be the moment since when."""
    name = name or f"pod-{next(_serial)}"
    conditions = []
    if ready is not False:
        since = at(0.0 if ready is True else ready)
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": since}]
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "labels": labels if labels is not None else {"app": "web"},
        "annotations": annotations or {},
        "creationTimestamp": at(created),
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": f"uid-{owner}", "controller": True}
        ]
        if owner
        else [],
    }
    if deleting:
        metadata["deletionTimestamp"] = T0
    status = {
        "phase": phase,
        "conditions": conditions,
        "podIP": ip,
        "podIPs": [{"ip": ip}] if ip else [],
        "containerStatuses": [{"name": "c", "restartCount": restarts}],
    }
    return Pod.model_validate({"metadata": metadata, "spec": {"nodeName": node, **spec}, "status": status})


def template(image: str = "web:1", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web", **labels}},
        "spec": {"containers": [{"name": "c", "image": image, "unknownToUs": {"x": 1}}]},
    }


def replicaset(
    name: str = "rs",
    *,
    replicas: int = 3,
    image: str = "web:1",
    created: float = 0.0,
    annotations: dict[str, str] | None = None,
    deleting: bool = False,
    min_ready: int = 0,
    status: dict[str, Any] | None = None,
) -> ReplicaSet:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": at(created),
        "annotations": annotations or {},
    }
    if deleting:
        metadata["deletionTimestamp"] = T0
    return ReplicaSet.model_validate(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": metadata,
            "spec": {
                "replicas": replicas,
                "minReadySeconds": min_ready,
                "selector": {"matchLabels": {"app": "web"}},
                "template": template(image, **{"pod-template-hash": name}),
            },
            "status": {"observedGeneration": 1, **(status or {})},
        }
    )


def deployment(
    *,
    replicas: int = 3,
    image: str = "web:1",
    strategy: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Deployment:
    return Deployment.model_validate(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "web",
                "namespace": "default",
                "uid": "uid-web",
                "generation": 1,
                "annotations": annotations or {},
            },
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": template(image),
                "strategy": strategy
                or {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                **spec,
            },
            "status": status or {},
        }
    )


def daemonset(
    *, image: str = "web:1", surge: int | str = 0, unavailable: int | str = 0, generation: int = 1, **spec: Any
) -> DaemonSet:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return DaemonSet.model_validate(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "agent", "namespace": "default", "uid": "uid-agent", "generation": generation},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": template(image),
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
                **spec,
            },
        }
    )


def service(*, ports: list[dict[str, Any]] | None = None, labels: dict[str, str] | None = None, **spec: Any) -> Service:
    return Service.model_validate(
        {
            "metadata": {"name": "web", "namespace": "default", "uid": "uid-svc", "labels": labels or {}},
            "spec": {
                "selector": {"app": "web"},
                "clusterIP": "10.96.0.9",
                "ipFamilies": ["IPv4"],
                "ports": ports if ports is not None else [{"name": "http", "port": 80, "targetPort": 8080}],
                **spec,
            },
        }
    )
