"""Which pods count in a measurement, and what they ask for.

A pod that is about to go or has failed is ignored altogether. One that is not ready has no say, and counts as idle
where the others would have more replicas. One without a measurement counts against any change.

Source: Kubernetes documentation, "Horizontal Pod Autoscaling", algorithm details; pkg/controller/podautoscaler,
replica_calculator.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..pods import Container, Pod, PodCondition, Requests, ready_condition


class Unknown(Exception):
    """A number of replicas cannot be told from a metric; the text says why, in Kubernetes' words."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One pod's measurement: its value in thousandths, taken over `window` until `at`."""

    value: int
    at: datetime
    window: timedelta


Samples = Mapping[str, Sample]
"""Measurements by the pods' names."""


@dataclass(frozen=True, slots=True)
class Delays:
    """How long a pod may use more processor time because it starts, and how long it may take to be ready once."""

    cpu_initialization: timedelta = timedelta(minutes=5)
    initial_readiness: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Groups:
    """The pods of a workload: the number that counts, and the names of those that do not."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group(pods: Iterable[Pod], samples: Samples, *, resource: str, delays: Delays, now: datetime) -> Groups:
    """Sort pods by whether their measurement of a resource (or of something else: "") counts."""
    ready, unready, missing, ignored = 0, set(), set(), set()
    for pod in pods:
        sample = samples.get(pod.name)
        if pod.deleting or pod.status.phase == "Failed":
            ignored.add(pod.name)
        elif pod.status.phase == "Pending":
            unready.add(pod.name)
        elif sample is None:
            missing.add(pod.name)
        elif resource == "cpu" and _starts(pod, sample, delays=delays, now=now):
            unready.add(pod.name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _starts(pod: Pod, sample: Sample, *, delays: Delays, now: datetime) -> bool:
    """Whether what a pod uses tells more of its start than of its load."""
    condition, started = ready_condition(pod), pod.status.start_time
    if condition is None or started is None:
        return True
    if started + delays.cpu_initialization > now:
        return condition.status == "False" or sample.at < _changed(condition) + sample.window
    return condition.status == "False" and started + delays.initial_readiness > _changed(condition)


_BEGINNING = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def _changed(condition: PodCondition) -> datetime:
    return condition.last_transition_time or _BEGINNING


def running(pods: Iterable[Pod]) -> int:
    """How many run and are ready. Raises Unknown if there is no pod at all."""
    states = [pod.status.phase == "Running" and pod.ready for pod in pods]
    if not states:
        raise Unknown("unable to calculate ready pods: no pods returned by selector while calculating replica count")
    return sum(states)


def requests(pods: Iterable[Pod], *, resource: str, container: str) -> dict[str, int]:
    """What each pod (or one container of it) asks for of a resource, in thousandths.

    Raises Unknown if one of them asks for nothing: its use has no measure then.
    """
    return {pod.name: _request(pod, resource=resource, container=container) for pod in pods}


def _request(pod: Pod, *, resource: str, container: str) -> int:
    if pod.spec.resources and not container:
        return _request_as_a_whole(pod, resource)
    asked = 0
    for one in _lasting(pod):
        if container in ("", one.name):
            found = _of(one.resources, resource)
            if found is None:
                raise Unknown(f"missing request for {resource} in container {one.name} of Pod {pod.name}")
            asked += found
            if container:
                return asked
    if container:
        raise Unknown(f"container {container} not found in Pod {pod.name}")
    return asked


def _request_as_a_whole(pod: Pod, resource: str) -> int:
    """A pod that asks as a whole: what it says goes before what its containers say."""
    asked = _of(pod.spec.resources, resource)
    if asked is None:
        found = [value for one in _lasting(pod) if (value := _of(one.resources, resource)) is not None]
        if not found:
            raise Unknown(f"missing pod-level request for {resource} in Pod {pod.name}")
        asked = sum(found)
    return asked + (_of(pod.spec.overhead, resource) or 0)


def _lasting(pod: Pod) -> Iterable[Container]:
    """The containers that run as long as the pod does."""
    yield from pod.spec.containers
    for one in pod.spec.init_containers:
        if one.restart_policy == "Always":
            yield one


def _of(asked: Requests, resource: str) -> int | None:
    return next((value for name, value in asked if name == resource), None)
