"""The shape of a pod: everything that filters and scores may know of it, as one hashable value.

Plugins see the shape and never the pod, so that two pods of equal shape are the same to every one of them: what was
worked out for the first holds for the second. A plugin that needs another fact adds it here. Only `spread` is no part
of the comparison: it differs from owner to owner, and what is said because of it is said anew at each decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from k8slite.node_affinity import Term, term_of
from k8slite.selectors import Requirement

from .requests import requests_of
from .spread import NO_SPREADING, Spreading, spreading_of
from .view import Pod


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
class Shape:
    """What a pod needs, tolerates and likes.

    `requests`, `scored` and `held` are those of `Requests`. `required` is None without a rule.
    """

    requests: tuple[tuple[str, int], ...]
    scored: tuple[int, int]
    held: tuple[int, int]
    ports: tuple[HostPort, ...] = ()
    tolerations: tuple[Tolerated, ...] = ()
    node_name: str = ""
    selector: tuple[Requirement, ...] = ()
    required: tuple[Term, ...] | None = None
    preferred: tuple[tuple[int, Term], ...] = ()
    spread: Spreading = field(default=NO_SPREADING, compare=False)
    vast: bool = False
    """Whether it requests more of something than any node has."""

    @property
    def taken(self) -> tuple[object, ...]:
        """What a pod of this shape takes of the node that it is on, and what it asks of pods that come later."""
        return self.requests, self.held, self.ports


def shape_of(pod: Pod, *, selected_by: tuple[Requirement, ...] = ()) -> Shape:
    """The shape of a pod. `selected_by` is what the Services that select it ask for."""
    spec = pod.spec
    requests = requests_of(pod)
    affinity = spec.affinity.node_affinity if spec.affinity else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    preferred = affinity.preferred_during_scheduling_ignored_during_execution if affinity else []
    return Shape(
        requests=requests.needed,
        scored=requests.scored,
        held=requests.held,
        ports=_host_ports(pod),
        tolerations=tuple(Tolerated(t.key, t.operator or "Equal", t.value, t.effect) for t in spec.tolerations),
        node_name=spec.node_name,
        selector=tuple(Requirement(key, "In", frozenset({value})) for key, value in sorted(spec.node_selector.items())),
        required=None if required is None else tuple(term_of(term) for term in required.node_selector_terms),
        preferred=tuple((item.weight, term_of(item.preference)) for item in preferred),
        spread=spreading_of(pod, selected_by=selected_by),
        vast=requests.vast,
    )


def _host_ports(pod: Pod) -> tuple[HostPort, ...]:
    sidecars = [container for container in pod.spec.init_containers if container.restart_policy == "Always"]
    return tuple(
        HostPort(port.host_ip or "0.0.0.0", port.protocol or "TCP", port.host_port)
        for container in (*pod.spec.containers, *sidecars)
        for port in container.ports
        if port.host_port
    )
