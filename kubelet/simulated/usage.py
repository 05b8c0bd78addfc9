"""What simulated pods and nodes use: what annotations or the file of stages say, else half of what is requested.

Counters are kept only of containers that somebody asked about, and only while their node is asked about: each time a
counter goes on at the rate that holds now. A rate that changed meanwhile shows at once.

The idea that annotations say it is KWOK's (kwok.sigs.k8s.io).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from k8slite import quantity
from k8slite.durations import read
from k8slite.kinds.base import Quantities

from ..measuring.model import ContainerUsage, NodeUsage, PodUsage, total
from ..runtime.usage import Usage
from .decide import is_whose
from .facts import Json, Pod
from .stages import Use

CPU_USAGE, MEMORY_USAGE = "k8slite.io/cpu-usage", "k8slite.io/memory-usage"
"""Annotations: what a pod uses, shared by its containers in equal parts."""
CONTAINER_CPU, CONTAINER_MEMORY = "cpu-usage.k8slite.io/", "memory-usage.k8slite.io/"
"""With a container's name: what that one uses."""
_SHARE = Decimal("0.5")
_LEAST_CPU, _LEAST_MEMORY = Decimal("0.001"), Decimal(1 << 20)
_NODE_CPU, _NODE_MEMORY = 50_000_000, 256 << 20
"""What a node uses besides its pods: billionths of a core, bytes."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a container uses: billionths of a core, bytes of memory."""

    cpu: int
    memory: int


def rates(pod: Pod, names: Iterable[str], *, uses: Iterable[Use], node_labels: Mapping[str, str]) -> dict[str, Rate]:
    """What each of these containers of a pod uses."""
    names, notes = list(names), pod.metadata.annotations
    use = next((each for each in uses if is_whose(each.match, pod, node_labels)), None)
    whole_cpu = _first(notes.get(CPU_USAGE), use.cpu if use else "")
    whole_memory = _first(notes.get(MEMORY_USAGE), use.memory if use else "")
    asked: dict[str, Quantities] = {
        each.name: each.resources.requests for each in (*pod.spec.init_containers, *pod.spec.containers)
    }
    found = {}
    for name in names:
        own = asked.get(name, {})
        cpu = _part(_first(notes.get(CONTAINER_CPU + name)), whole_cpu, len(names), own.get("cpu"), _LEAST_CPU)
        memory = _part(
            _first(notes.get(CONTAINER_MEMORY + name)), whole_memory, len(names), own.get("memory"), _LEAST_MEMORY
        )
        found[name] = Rate(int(cpu * 10**9), int(memory))
    return found


def _first(*texts: str | None) -> Decimal | None:
    """The first that is a quantity, not below nothing."""
    for text in texts:
        if text:
            try:
                return max(Decimal(0), quantity.parse(text))
            except quantity.QuantityError:
                continue
    return None


def _part(
    own: Decimal | None, whole: Decimal | None, shares: int, requested: str | float | None, least: Decimal
) -> Decimal:
    if own is not None:
        return own
    if whole is not None:
        return whole / shares
    try:
        return max(least, quantity.parse(requested) * _SHARE) if requested is not None else least
    except quantity.QuantityError:
        return least


class Counters:
    """The counters of one program, by node and container."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[tuple[str, str], tuple[float, int]]] = {}

    def page(
        self,
        node: str,
        pods: Iterable[Pod],
        *,
        since: float,
        uses: Iterable[Use],
        node_labels: Mapping[str, str],
        now: float,
    ) -> NodeUsage:
        """What a node and its pods use at a Unix time; the node is there since `since`."""
        uses = list(uses)
        known, kept = self._nodes.get(node, {}), {}
        told = []

        def counted(key: tuple[str, str], started: float, cpu: int) -> Usage:
            at, before = known.get(key, (started, 0))
            kept[key] = max(at, now), before + int(max(0.0, now - at) * cpu)
            return Usage(kept[key][0], kept[key][1], 0, 0)

        for pod in pods:
            running = dict(_running(pod))
            if not running:
                continue
            used = rates(pod, running, uses=uses, node_labels=node_labels)
            containers = []
            for name, started in running.items():
                usage = counted((pod.uid, f"{name} {started}"), started or now, used[name].cpu)
                memory = used[name].memory
                usage = Usage(usage.at, usage.cpu, memory, memory, memory)
                containers.append(ContainerUsage(name, started, usage, used[name].cpu))
            whole = total([each.usage for each in containers])
            cores = sum(each.cores or 0 for each in containers)
            first = min(running.values())
            told.append(PodUsage(pod.namespace, pod.name, pod.uid, first, tuple(containers), whole, cores))
        cpu = _NODE_CPU + sum(each.cores or 0 for each in told)
        memory = _NODE_MEMORY + sum(each.usage.memory for each in told if each.usage)
        own = counted(("", ""), since or now, cpu)
        self._nodes[node] = kept
        return NodeUsage(node, since, Usage(own.at, own.cpu, memory, memory, memory), cpu, pods=tuple(told))

    def forget(self, node: str) -> None:
        """The node is gone."""
        self._nodes.pop(node, None)


def _running(pod: Pod) -> Iterator[tuple[str, float]]:
    """The containers of a pod that run, each with the Unix time of its start."""
    if pod.finished:
        return
    status = pod.status
    statuses: Iterable[Json] = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    for one in statuses:
        state = (one.get("state") or {}).get("running")
        if state is not None:
            started = read(state.get("startedAt"))
            yield one["name"], started.timestamp() if started else 0.0
