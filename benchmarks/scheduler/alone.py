"""Decisions alone: the scheduler's own columns and cycle, with nobody to ask and nobody to tell."""

from __future__ import annotations

import time
from random import Random
from typing import Any, cast

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Cycle, Placement
from k8slite.scheduler.framework import Handle
from k8slite.scheduler.informers import Informers
from k8slite.scheduler.plugins import default_profiles
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Node, Pod

from ..load import NUMBER
from ..report import Figure
from .cases import CASES, Batch, nodes

NAMESPACE = "bench"


def run(name: str, *, node_count: int, pod_count: int) -> Figure:
    """The rate of decisions, each with its placement, in processor time."""
    case, columns, client, clock = CASES[name](node_count, pod_count), Columns(), cast(Client, None), SystemClock()
    informers = Informers(client, clock=clock)
    handle = Handle(
        client,
        clock,
        columns,
        informers,
        changed=_ignore,
        activate=_ignore,
        revoke=_ignore,
        record=_ignore,
        admit=_ignore,
    )
    (profile,) = default_profiles(handle).values()
    for count, body in nodes(node_count, NAMESPACE, reserves=case.reserves):
        for number in range(count):
            columns.set_node(Node.model_validate(_numbered(body, number)))
    cycle = Cycle(profile, random=Random(1))
    pods = [Pod.model_validate(body) for batch in case.measured for body in _bodies(batch)]
    cycle.decide(pods[0], shape_of(pods[0]), columns, thorough=False)
    began, placed = time.process_time(), 0
    for pod in pods:
        shape = shape_of(pod)
        decision = cycle.decide(pod, shape, columns, thorough=False)
        if isinstance(decision, Placement):
            columns.place(pod, shape, decision.node)
            placed += 1
    took = time.process_time() - began
    note = f"{took / len(pods) * 1e6:.0f} µs each, {placed} of {len(pods)} placed"
    return Figure(f"{name} decided at {node_count} nodes", len(pods) / took, "pods/s", note)


def _ignore(*_: object) -> None: ...


def _bodies(batch: Batch) -> list[dict[str, Any]]:
    return [_numbered(batch.body(NAMESPACE), number) for number in range(batch.count)]


def _numbered(body: dict[str, Any], number: int) -> dict[str, Any]:
    metadata = body["metadata"]
    name = metadata["name"].replace(NUMBER, str(number))
    labels = {key: value.replace(NUMBER, str(number)) for key, value in metadata["labels"].items()}
    return body | {"metadata": metadata | {"name": name, "uid": name, "labels": labels}}
