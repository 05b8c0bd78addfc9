"""The audit log of a server: its policy, where events go, and what of it is counted.

Source: Kubernetes' apiserver, audit/metrics.go, plugin/pkg/audit/truncate.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from k8slite.clock import Clock
from k8slite.config import AuditConfig

from ..authn.base import User
from ..authz.base import Attributes
from . import event
from .log import LogSink
from .policy import Decision, Level, Policy, load
from .webhook import WebhookSink

STRANGER = User("")
"""Who could not be authenticated."""
_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where events go. `errors` counts those that were lost, by what lost them."""

    errors: dict[str, int]
    max_event_size: int
    waits: bool
    strict: bool

    def put(self, line: bytes) -> None:
        """Take an event; it is written soon."""
        ...

    async def flushed(self) -> bool:
        """Wait until what was taken is written; whether it was."""
        ...

    async def start(self) -> None:
        """Begin to write. Raises OSError, ConfigError."""
        ...

    async def stop(self) -> None:
        """Write what was taken, and end."""
        ...


class Auditor(Collector):
    """Decides what is recorded, and hands events to the sinks."""

    def __init__(self, policy: Policy, sinks: Sequence[Sink], *, clock: Clock) -> None:
        self._policy = policy
        self._sinks = tuple(sinks)
        self.clock = clock
        self.users = event.Users()
        self.waits = any(sink.waits for sink in sinks)
        """Whether an answer waits until its event is written."""
        self.strict = any(sink.strict for sink in sinks)
        """Whether a request that cannot be recorded is refused."""
        self.rejected = 0
        self._events = self._cut = 0
        self._levels = [0, 0, 0, 0]

    def wants(self, attributes: Attributes) -> Decision | None:
        """What to record of a request, None if nothing."""
        rule = self._policy.decide(attributes)
        self._levels[rule.level] += 1
        return rule if rule.level is not Level.NONE else None

    def write(self, made: event.Event, level: Level) -> None:
        """Hand an event to every sink, to some without its objects if it is too large for them."""
        self._events += 1
        line = event.encode(made)
        for sink in self._sinks:
            if not sink.max_event_size or len(line) <= sink.max_event_size:
                sink.put(line)
                continue
            cut = event.encode(event.without_objects(made)) if level >= Level.REQUEST else line
            if len(cut) <= sink.max_event_size:
                sink.put(cut)
            else:
                self._cut += 1
                _log.error("audit event %s is too large even after truncating", made["auditID"])

    async def flushed(self) -> bool:
        """Wait until all sinks that are waited for have written what they took; whether they could."""
        return all([await sink.flushed() for sink in self._sinks if sink.waits])

    async def start(self) -> None:
        """Begin to write. Raises OSError, ConfigError."""
        for sink in self._sinks:
            await sink.start()

    async def stop(self) -> None:
        """Write what there is, and end."""
        for sink in self._sinks:
            await sink.stop()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The metrics now."""
        yield CounterMetricFamily(
            "apiserver_audit_event", "Audit events generated and sent to the audit backends.", value=self._events
        )
        errors = CounterMetricFamily(
            "apiserver_audit_error", "Audit events that could not be audited properly.", labels=("plugin",)
        )
        lost = {"truncate": self._cut}
        for sink in self._sinks:
            for plugin, count in sink.errors.items():
                lost[plugin] = lost.get(plugin, 0) + count
        for plugin, count in lost.items():
            errors.add_metric([plugin], count)
        yield errors
        levels = CounterMetricFamily(
            "apiserver_audit_level", "Requests by the level that the audit policy gives them.", labels=("level",)
        )
        for level in Level:
            levels.add_metric([level.label], self._levels[level])
        yield levels
        yield CounterMetricFamily(
            "apiserver_audit_requests_rejected",
            "Requests that were refused because they could not be audited.",
            value=self.rejected,
        )


def build(config: AuditConfig, *, clock: Clock) -> Auditor | None:
    """The audit log that a configuration asks for, None if it asks for none. Raises ConfigError."""
    wanted = bool(config.log.path) or config.webhook.kubeconfig is not None
    if config.policy_file is None:
        if wanted:
            _log.warning("there is no audit policy file: no events will be recorded")
        return None
    policy = load(config.policy_file)
    if not wanted:
        return None
    sinks: list[Sink] = []
    if config.log.path:
        log = LogSink(config.log, clock=clock)
        log.check()
        sinks.append(log)
    if config.webhook.kubeconfig is not None:
        sinks.append(WebhookSink(config.webhook, clock=clock))
    return Auditor(policy, sinks, clock=clock)
