"""Pods and nodes in a line, and columns of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from random import Random
from typing import Any, cast

from k8slite.client import Client
from k8slite.clock import VirtualClock
from k8slite.scheduler.change import Change
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Cycle, Decision
from k8slite.scheduler.framework import Handle
from k8slite.scheduler.informers import Informers
from k8slite.scheduler.plugins import build
from k8slite.scheduler.profile import Profile
from k8slite.scheduler.shape import Shape, shape_of
from k8slite.scheduler.view import Node, Pod

_numbers = itertools.count()


def pod(
    name: str = "",
    *,
    requests: dict[str, str] | None = None,
    uid: str = "",
    phase: str = "Pending",
    conditions: Iterable[dict[str, Any]] = (),
    labels: dict[str, str] | None = None,
    deleting: bool = False,
    owner: str = "",
    owner_kind: str = "ReplicaSet",
    nominated: str = "",
    started: str = "",
    namespace: str = "default",
    **spec: Any,
) -> Pod:
    name = name or f"pod-{next(_numbers)}"
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}"}
    metadata |= {"labels": labels or {}}
    if owner:
        reference = {"apiVersion": "apps/v1", "kind": owner_kind, "name": owner, "uid": owner, "controller": True}
        metadata["ownerReferences"] = [reference]
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    body: dict[str, Any] = {"containers": [{"name": "c", "resources": {"requests": requests or {}}}]} | spec
    return Pod.model_validate(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": body,
            "status": {
                "phase": phase,
                "conditions": list(conditions),
                "nominatedNodeName": nominated,
                "startTime": started,
            },
        }
    )


def node(
    name: str = "node",
    *,
    allocatable: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    taints: Iterable[str] = (),
    unschedulable: bool = False,
) -> Node:
    """`taints` are written as kubectl does: `key=value:effect`."""
    return Node.model_validate(
        {
            "metadata": {"name": name, "labels": labels or {}},
            "spec": {"unschedulable": unschedulable, "taints": [_taint(text) for text in taints]},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"} | (allocatable or {})},
        }
    )


def _taint(text: str) -> dict[str, str]:
    body, _, effect = text.rpartition(":")
    key, _, value = body.partition("=")
    return {"key": key, "value": value, "effect": effect}


def affinity(*terms: dict[str, Any], preferred: Iterable[tuple[int, dict[str, Any]]] = ()) -> dict[str, Any]:
    """`spec.affinity` with node affinity terms."""
    rules: dict[str, Any] = {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": weight, "preference": term} for weight, term in preferred
        ]
    }
    if terms:
        rules["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": list(terms)}
    return {"nodeAffinity": rules}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


def columns(*nodes: Node) -> Columns:
    found = Columns()
    for each in nodes:
        found.set_node(each)
    return found


def default_profile(state: Columns | None = None) -> Profile:
    """The default plugins; binding is not for these tests."""
    return build(handle(state))


def handle(state: Columns | None = None) -> Handle:
    """What plugins are made of, without a server."""
    client, clock = cast(Client, None), VirtualClock()
    informers = Informers(client, clock=clock)

    def ignore(*_: object) -> None: ...

    return Handle(
        client,
        clock,
        state or Columns(),
        informers,
        changed=ignore,
        activate=ignore,
        admit=ignore,
        revoke=ignore,
        record=ignore,
    )


def cycle(seed: int = 1, *, state: Columns | None = None) -> Cycle:
    """`state` is needed where plugins keep columns of their own."""
    return Cycle(default_profile(state), random=Random(seed))


def decide(asking: Pod, state: Columns) -> Decision:
    return cycle(state=state).decide(asking, shape_of(asking), state)


def shape(**spec: Any) -> Shape:
    return shape_of(pod(**spec))


def put(state: Columns, uid: str, taken: Shape, name: str) -> Change:
    """Place some pod of a shape on a node; what that may change."""
    return state.place(pod(uid=uid), taken, name).change
