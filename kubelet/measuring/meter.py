"""Measures a node and its pods when somebody asks; who asks at the same time, or soon after, gets the same.

Nothing is measured while nobody asks. How many cores something uses is told from the second time on: the rate since the
last measurement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from k8slite.clock import Clock

from ..runtime.base import Container, ContainerRuntime, PodState, Sandbox, State
from ..runtime.usage import Usage
from . import machine
from .model import ContainerUsage, Network, NodeUsage, PodUsage, total

_KEPT = 0.5
"""Seconds that a measurement is good for: below the second after which the metrics API asks again."""
_SHORTEST, _LONGEST = 0.4, 60.0
"""Seconds that a rate is taken over."""
_NODE = ""
Rates = Callable[[str, Usage], int | None]


class Meter:
    """One node's. `directory` is on the file system that pods use."""

    def __init__(self, *, node: str, runtime: ContainerRuntime, directory: Path, clock: Clock) -> None:
        self._node, self._runtime, self._directory, self._clock = node, runtime, directory, clock
        self._last: tuple[float, NodeUsage] | None = None
        self._before: dict[str, Usage] = {}
        self._busy = asyncio.Lock()

    async def measure(self) -> NodeUsage:
        """What is used now, or was half a second ago. Raises RuntimeFault, OSError."""
        async with self._busy:
            moment = self._clock.monotonic()
            if self._last is None or moment - self._last[0] > _KEPT:
                self._last = moment, await self._measure()
            return self._last[1]

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _measure(self) -> NodeUsage:
        states = await self._runtime.list()
        running = {
            uid: (state, tuple(each for each in state.containers if each.state is State.RUNNING))
            for uid, state in states.items()
            if state.sandbox is not None or any(each.state is State.RUNNING for each in state.containers)
        }
        ids = [each.id for _, containers in running.values() for each in containers]
        ids += [state.sandbox.id for state, _ in running.values() if state.sandbox is not None]
        used = await self._runtime.usage(ids)
        return await asyncio.to_thread(self._node_usage, running, used)

    def _node_usage(
        self, running: Mapping[str, tuple[PodState, tuple[Container, ...]]], used: Mapping[str, Usage]
    ) -> NodeUsage:
        seen: dict[str, Usage] = {}

        def cores(key: str, usage: Usage) -> int | None:
            seen[key] = usage
            return rate(self._before.get(key), usage)

        whole = machine.usage(at=self._now())
        found = NodeUsage(
            name=self._node,
            started=machine.booted(),
            usage=whole,
            cores=cores(_NODE, whole),
            network=machine.network(at=self._now()),
            filesystem=machine.filesystem(self._directory, at=self._now()),
            processes=machine.processes(),
            pods=tuple(self._pod_usage(*each, used, cores) for each in running.values()),
        )
        self._before = seen
        return found

    def _pod_usage(
        self, state: PodState, containers: tuple[Container, ...], used: Mapping[str, Usage], cores: Rates
    ) -> PodUsage:
        sandbox: Sandbox | None = state.sandbox
        parts = [used[each.id] for each in containers if each.id in used]
        if sandbox is not None and sandbox.id in used:
            parts.append(replace(used[sandbox.id], memory_limit=0))
        whole = total(parts)
        started = min((each.created_at.timestamp() for each in state.sandboxes if each.created_at), default=0.0)
        return PodUsage(
            namespace=state.pod.namespace,
            name=state.pod.name,
            uid=state.pod.uid,
            started=started,
            containers=tuple(
                ContainerUsage(
                    each.name,
                    each.started_at.timestamp() if each.started_at else 0.0,
                    used[each.id],
                    cores(each.id, used[each.id]),
                )
                for each in containers
                if each.id in used
            ),
            usage=whole,
            cores=cores(state.pod.uid, whole) if whole is not None else None,
            network=self._network(sandbox),
        )

    def _network(self, sandbox: Sandbox | None) -> Network | None:
        """A pod's interfaces, unless it has none of its own."""
        if sandbox is None or not sandbox.pid or not sandbox.ip:
            return None
        return machine.network(at=self._now(), pid=sandbox.pid)


def rate(before: Usage | None, after: Usage) -> int | None:
    """Billionths of a core between two readings; None if they do not tell."""
    if before is None or after.cpu < before.cpu or not _SHORTEST <= after.at - before.at <= _LONGEST:
        return None
    return round((after.cpu - before.cpu) / (after.at - before.at))
