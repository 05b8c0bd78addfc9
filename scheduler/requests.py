"""What a pod requests: the sum over its containers, which run together or one after the other.

A pod that is on a node counts with the most of what it asks for, what the kubelet has granted it, and what it has: one
that grows must not find its room given away, one that shrinks keeps what it has not given back yet. A resize that the
kubelet called infeasible asks for nothing.

Amounts are whole numbers: millicores of cpu, else units (bytes, pieces). Fractions are added up in thousandths and
rounded up at the end. Equal pods share the answer.

Source: Kubernetes documentation, "Init containers", "Sidecar containers", "Pod Overhead", "Resize CPU and Memory
Resources"; component-helpers, resource.PodRequests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from k8slite import quantity
from k8slite.kinds.base import Quantities

from .view import Container, ContainerStatus, Pod

CPU, MEMORY, PODS, STORAGE = "cpu", "memory", "pods", "ephemeral-storage"

#: What a container without a request counts for in scores, so that such pods spread too: 100 millicores, 200 MiB.
ASSUMED = {CPU: 100, MEMORY: 200 << 20}

#: Beyond this a node's sums may be larger than what columns can add up exactly.
VAST = 1 << 45

Amounts = dict[str, int]
Listed = tuple[tuple[str, str | int | float], ...]
"""Quantities by resource, hashable."""

_ASSUMED = {CPU: 100, MEMORY: (200 << 20) * 1000}


@dataclass(frozen=True, slots=True)
class Requests:
    """What a pod needs of a node, and counts for.

    `needed` is by resource, in order of their names, without zeros; every pod takes one of the node's places for
    `pods`. `scored` is cpu and memory, with assumed amounts, for scores of the pod itself; `held` the same for scores
    of pods that come later. They differ only if the pod as a whole requests something.
    """

    needed: tuple[tuple[str, int], ...]
    scored: tuple[int, int]
    held: tuple[int, int]
    vast: bool = False
    """Whether an amount is beyond what any node has."""


@dataclass(frozen=True, slots=True)
class _Containers:
    """What each asks for; of an init container also whether it is a sidecar."""

    together: tuple[Listed, ...]
    first: tuple[tuple[Listed, bool], ...] = ()


def requests_of(pod: Pod) -> Requests:
    """What a pod requests, as it is."""
    spec, status = pod.spec, pod.status
    level = (_level(spec.resources.requests) or None) if spec.resources is not None else None
    overhead = tuple(spec.overhead.items()) if spec.overhead else ()
    if not spec.node_name or not _resized(pod):
        return _settled((_containers(pod, {}),), (), level, overhead)
    infeasible = any(c.type == "PodResizePending" and c.reason == "Infeasible" for c in status.conditions)
    asked = () if infeasible else (_containers(pod, {}),)
    if level and status.resources is not None:
        wanted: Quantities = {} if infeasible else dict(level)
        level = _level(_most((wanted, status.resources.requests, status.allocated_resources)))
    if status.allocated_resources and status.resources is not None and status.resources.requests:
        whole = _listed(status.allocated_resources), _listed(status.resources.requests)
        return _settled(asked, whole, level, overhead)
    known = {each.name: each for each in (*status.init_container_statuses, *status.container_statuses)}
    granted = {each.name: _granted(each, known, infeasible) for each in (*spec.containers, *spec.init_containers)}
    actual = {each.name: _actual(each, known, infeasible) for each in (*spec.containers, *spec.init_containers)}
    return _settled((*asked, _containers(pod, granted), _containers(pod, actual)), (), level, overhead)


def _resized(pod: Pod) -> bool:
    """Whether the kubelet says anything else than the containers ask for."""
    spec, status = pod.spec, pod.status
    if status.resources is not None or any(condition.type == "PodResizePending" for condition in status.conditions):
        return True
    asked = {each.name: each.resources.requests for each in (*spec.containers, *spec.init_containers)}
    return any(
        (each.allocated_resources and each.allocated_resources != asked.get(each.name))
        or (each.resources is not None and each.resources.requests and each.resources.requests != asked.get(each.name))
        for each in (*status.container_statuses, *status.init_container_statuses)
    )


def _granted(container: Container, known: Mapping[str, ContainerStatus], infeasible: bool) -> Quantities:
    status = known.get(container.name)
    if status is not None and status.allocated_resources:
        return status.allocated_resources
    return {} if infeasible else container.resources.requests


def _actual(container: Container, known: Mapping[str, ContainerStatus], infeasible: bool) -> Quantities:
    status = known.get(container.name)
    if status is not None and status.resources is not None and status.resources.requests:
        return status.resources.requests
    return _granted(container, known, infeasible)


def _containers(pod: Pod, instead: Mapping[str, Quantities]) -> _Containers:
    """The containers, some of them with `instead` of their requests."""
    spec = pod.spec
    if instead:
        return _Containers(
            tuple(_listed(instead[each.name]) for each in spec.containers),
            tuple((_listed(instead[each.name]), each.restart_policy == "Always") for each in spec.init_containers),
        )
    together = tuple([tuple(each.resources.requests.items()) for each in spec.containers])
    if not spec.init_containers:
        return _Containers(together)
    return _Containers(
        together,
        tuple(
            (tuple(each.resources.requests.items()), each.restart_policy == "Always") for each in spec.init_containers
        ),
    )


def _listed(quantities: Quantities) -> Listed:
    return tuple(quantities.items())


def _level(quantities: Quantities) -> Listed:
    """What of it a pod as a whole may request."""
    return tuple(
        (name, text) for name, text in quantities.items() if name in (CPU, MEMORY) or name.startswith("hugepages-")
    )


def _most(several: Sequence[Quantities]) -> Quantities:
    found: Quantities = {}
    for quantities in several:
        for name, text in quantities.items():
            if name not in found or quantity.parse(text) > quantity.parse(found[name]):
                found[name] = text
    return found


@lru_cache(maxsize=4096)
def _settled(
    several: tuple[_Containers, ...], whole: tuple[Listed, ...], level: Listed | None, overhead: Listed
) -> Requests:
    """The most of `several` ways to see the containers, and of what was said of the `whole` pod.

    `level` is what the pod requests as a whole, None if it does not.
    """
    plain = _total(several, whole, level, overhead, assumed={})
    scored = _total(several, whole, level, overhead, assumed=_ASSUMED)
    missing = {name: amount for name, amount in _ASSUMED.items() if name not in plain}
    held = _total(several, whole, level, overhead, assumed=missing) if level is not None else scored
    needed = {name: _rounded(name, amount) for name, amount in plain.items() if amount and _counts(name)}
    return Requests(
        ((PODS, 1), *sorted(needed.items())),
        (_rounded(CPU, scored.get(CPU, 0)), _rounded(MEMORY, scored.get(MEMORY, 0))),
        (_rounded(CPU, held.get(CPU, 0)), _rounded(MEMORY, held.get(MEMORY, 0))),
        vast=any(amount > VAST for amount in needed.values()),
    )


def _total(
    several: Iterable[_Containers],
    whole: Iterable[Listed],
    level: Listed | None,
    overhead: Listed,
    *,
    assumed: Mapping[str, int],
) -> Amounts:
    """In thousandths."""
    total: Amounts = {}
    for containers in several:
        _raise_to(total, _added_up(containers, assumed))
    for listed in whole:
        _raise_to(total, _parsed(listed))
    if level is not None:
        total |= _parsed(level)
    _add(total, _parsed(overhead))
    return total


def _added_up(containers: _Containers, assumed: Mapping[str, int]) -> Amounts:
    """The sum of the containers, or the largest init step where that is more; sidecars run on, so they add to both."""
    total: Amounts = {}
    for listed in containers.together:
        _add(total, {**assumed, **_parsed(listed)})
    if containers.first:
        sidecars: Amounts = {}
        peak: Amounts = {}
        for listed, sidecar in containers.first:
            step = dict(sidecars)
            _add(step, {**assumed, **_parsed(listed)})
            if sidecar:
                sidecars = step
            _raise_to(peak, step)
        _add(total, sidecars)
        _raise_to(total, peak)
    return total


@lru_cache(maxsize=1024)
def _parsed(listed: Listed) -> Mapping[str, int]:
    return {name: quantity.milli(text) for name, text in listed}


def amounts_of(quantities: Quantities) -> Amounts:
    """Quantities in the scheduler's units."""
    return {name: quantity.milli(text) if name == CPU else quantity.whole(text) for name, text in quantities.items()}


def _rounded(name: str, thousandths: int) -> int:
    return thousandths if name == CPU else -(-thousandths // 1000)


def is_extended(name: str) -> bool:
    """Whether a resource is none of Kubernetes' own: something that a device plugin or an administrator announced."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


def is_scalar(name: str) -> bool:
    """Whether a resource is counted in whole pieces, as extended resources and huge pages are."""
    return is_extended(name) or "kubernetes.io/" in name or name.startswith(("hugepages-", "attachable-volumes-"))


@lru_cache(maxsize=1024)
def _counts(name: str) -> bool:
    """Whether nodes are asked for it."""
    return name in (CPU, MEMORY, STORAGE) or is_scalar(name)


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: Amounts, floor: Mapping[str, int]) -> None:
    for name, amount in floor.items():
        total[name] = max(total.get(name, 0), amount)
