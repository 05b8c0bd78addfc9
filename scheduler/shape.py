"""The shape of a pod: everything that filters and scores may know of it, as one hashable value.

Plugins see the shape and never the pod, so that two pods of equal shape are the same to every one of them: what was
worked out for the first holds for the second. A plugin that needs another fact adds it here. Only `spread` is no part
of the comparison: it differs from owner to owner, and what is said because of it is said anew at each decision.

Source for the sums: Kubernetes documentation, "Init containers: resource sharing within containers" and "Sidecars".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from k8slite import quantity
from k8slite.kinds.base import Quantities
from k8slite.kinds.core import NodeSelectorRequirement, NodeSelectorTerm
from k8slite.selectors import Operator, Requirement

from .spread import Spread, spread_of
from .view import Container, Pod

CPU, MEMORY, PODS = "cpu", "memory", "pods"

#: What a container without a request counts for in scores, so that such pods spread too: 100 millicores, 200 MiB.
ASSUMED = {CPU: 100, MEMORY: 200 << 20}

Amounts = dict[str, int]


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of the node that the pod takes; `address` 0.0.0.0 is all addresses."""

    address: str
    protocol: str
    port: int

    def conflicts(self, address: str) -> bool:
        """Whether the same protocol and port, taken on `address`, is in the way."""
        return self.address == address or "0.0.0.0" in (self.address, address)


@dataclass(frozen=True, slots=True)
class Tolerated:
    """A toleration, as far as it bears on scheduling."""

    key: str
    operator: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Term:
    """A node selector term: every requirement must hold; without any it selects nothing."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pod needs, tolerates and likes.

    `requests` holds resource and amount (millicores of cpu, else whole units), zero amounts left out, `pods` always 1.
    `scored` is cpu and memory with assumed amounts where a container names none. `required` is None without a rule.
    """

    requests: tuple[tuple[str, int], ...]
    scored: tuple[int, int]
    ports: tuple[HostPort, ...] = ()
    tolerations: tuple[Tolerated, ...] = ()
    node_name: str = ""
    selector: tuple[Requirement, ...] = ()
    required: tuple[Term, ...] | None = None
    preferred: tuple[tuple[int, Term], ...] = ()
    spread: tuple[Spread, ...] = field(default=(), compare=False)

    @property
    def taken(self) -> tuple[object, ...]:
        """What a pod of this shape takes of the node that it is on, and what it asks of pods that come later."""
        return self.requests, self.scored, self.ports


def shape_of(pod: Pod, *, selected_by: tuple[Requirement, ...] = ()) -> Shape:
    """The shape of a pod. `selected_by` is what the Services that select it ask for."""
    spec = pod.spec
    requests = _pod_amounts(pod, _amounts)
    scored = _pod_amounts(pod, _assumed_amounts)
    affinity = spec.affinity.node_affinity if spec.affinity else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    preferred = affinity.preferred_during_scheduling_ignored_during_execution if affinity else []
    return Shape(
        requests=((PODS, 1), *sorted((name, amount) for name, amount in requests.items() if amount)),
        scored=(scored.get(CPU, 0), scored.get(MEMORY, 0)),
        ports=_host_ports(pod),
        tolerations=tuple(Tolerated(t.key, t.operator or "Equal", t.value, t.effect) for t in spec.tolerations),
        node_name=spec.node_name,
        selector=tuple(Requirement(key, "In", frozenset({value})) for key, value in sorted(spec.node_selector.items())),
        required=None if required is None else tuple(_term(term) for term in required.node_selector_terms),
        preferred=tuple((item.weight, _term(item.preference)) for item in preferred),
        spread=spread_of(pod, selected_by=selected_by),
    )


def _pod_amounts(pod: Pod, amounts: Callable[[Container], Mapping[str, int]]) -> Amounts:
    """The sum of the containers, or the largest init step where that is more; sidecars run on, so they add to both."""
    total: Amounts = {}
    for container in pod.spec.containers:
        _add(total, amounts(container))
    if pod.spec.init_containers:
        sidecars: Amounts = {}
        peak: Amounts = {}
        for container in pod.spec.init_containers:
            step = dict(sidecars)
            _add(step, amounts(container))
            if container.restart_policy == "Always":
                sidecars = step
            _raise_to(peak, step)
        _add(total, sidecars)
        _raise_to(total, peak)
    if pod.spec.overhead:
        _add(total, _parsed(tuple(pod.spec.overhead.items())))
    return total


def _amounts(container: Container) -> Mapping[str, int]:
    requests = container.resources.requests
    return _parsed(tuple(requests.items())) if requests else {}


def _assumed_amounts(container: Container) -> Mapping[str, int]:
    return {**ASSUMED, **_amounts(container)}


@lru_cache(maxsize=1024)
def _parsed(quantities: tuple[tuple[str, str | int | float], ...]) -> Mapping[str, int]:
    return amounts_of(dict(quantities))


def amounts_of(quantities: Quantities) -> Amounts:
    """Quantities in the scheduler's units."""
    return {name: quantity.milli(text) if name == CPU else quantity.whole(text) for name, text in quantities.items()}


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: Amounts, floor: Mapping[str, int]) -> None:
    for name, amount in floor.items():
        total[name] = max(total.get(name, 0), amount)


def _host_ports(pod: Pod) -> tuple[HostPort, ...]:
    sidecars = [container for container in pod.spec.init_containers if container.restart_policy == "Always"]
    return tuple(
        HostPort(port.host_ip or "0.0.0.0", port.protocol or "TCP", port.host_port)
        for container in (*pod.spec.containers, *sidecars)
        for port in container.ports
        if port.host_port
    )


def _term(term: NodeSelectorTerm) -> Term:
    return Term(
        labels=tuple(map(_requirement, term.match_expressions)), fields=tuple(map(_requirement, term.match_fields))
    )


_OPERATORS: dict[str, Operator] = {
    "In": "In",
    "NotIn": "NotIn",
    "Exists": "Exists",
    "DoesNotExist": "DoesNotExist",
    "Gt": "Gt",
    "Lt": "Lt",
}


def _requirement(requirement: NodeSelectorRequirement) -> Requirement:
    return Requirement(requirement.key, _OPERATORS[requirement.operator], frozenset(requirement.values))
