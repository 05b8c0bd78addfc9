"""The recent decisions, for those who ask why a pod is where it is, or nowhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8slite.clock import Clock, timestamp

from .cycle import Decision, Placement
from .queue import Waiting
from .trace import Trace

#: Pods remembered; each takes about one byte a node and filter that looks at what is placed.
REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class Record:
    """The last decision about a pod. `attempt` counts from 1; `node` is empty if there was none for it."""

    namespace: str
    name: str
    uid: str
    profile: str
    attempt: int
    at: datetime
    node: str
    message: str
    trace: Trace | None

    def summary(self) -> dict[str, Any]:
        """The decision in a line, as JSON."""
        found: dict[str, Any] = {
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "profile": self.profile,
            "attempt": self.attempt,
            "time": timestamp(self.at),
        }
        return found | ({"node": self.node} if self.node else {"message": self.message})

    def told(self) -> dict[str, Any]:
        """The decision in full, as JSON."""
        return self.summary() | (self.trace.told() if self.trace is not None else {})


class Decisions:
    """The last decision of each pod, the oldest forgotten first."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._records: OrderedDict[str, Record] = OrderedDict()

    def note(self, waiting: Waiting, decision: Decision) -> None:
        """Keep a decision in the place of an earlier one of this pod."""
        pod = waiting.pod
        self._records[pod.key] = Record(
            namespace=pod.namespace,
            name=pod.name,
            uid=pod.uid,
            profile=pod.spec.scheduler_name,
            attempt=waiting.attempts,
            at=self._clock.now(),
            node=decision.node if isinstance(decision, Placement) else "",
            message="" if isinstance(decision, Placement) else decision.message,
            trace=decision.trace,
        )
        self._records.move_to_end(pod.key)
        if len(self._records) > REMEMBERED:
            self._records.popitem(last=False)

    def of(self, namespace: str, name: str) -> Record | None:
        """The last decision about a pod of that name."""
        return self._records.get(f"{namespace}/{name}")

    def recent(self) -> Iterator[Record]:
        """All that are remembered, the latest first."""
        yield from reversed(self._records.values())
