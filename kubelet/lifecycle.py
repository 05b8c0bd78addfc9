"""The ends of containers, and the hooks around their lives.

Stopping a container is: its preStop hook, its stop signal, and SIGKILL at the deadline. The deadline is the plan's
business; what was begun is noted here. Hooks run beside the worker, so that a shorter grace period can overtake them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine
from datetime import timedelta
from typing import Any

from k8slite.kinds.core import Container as ContainerModel
from k8slite.kinds.core import Handler, Pod

from .context import Context
from .handlers import Outcome, Target
from .plan import Stop, Stopping
from .runtime.base import Container, RuntimeFault

_AFTER_PRE_STOP = 2.0
"""Seconds that a container has after its preStop hook, even if that took the whole grace period."""
_KILL_AGAIN = 5.0
_POST_START_LIMIT = 3600.0


class Lifecycle:
    """One pod's containers on their way in and out."""

    def __init__(self, context: Context, *, wake: Callable[[], None]) -> None:
        self._context = context
        self._wake = wake
        self._hooks: set[asyncio.Task[None]] = set()
        self.stopping: dict[str, Stopping] = {}
        """Containers that were told to end, by id."""
        self.condemned: dict[str, str] = {}
        """Containers to restart because their postStart hook failed: message by id."""

    async def stop(self, pod: Pod, stop: Stop) -> None:
        """Begin to stop a container, or bring its deadline forward."""
        container = stop.container
        known = self.stopping.get(container.id)
        self.stopping[container.id] = Stopping(self._context.clock.now() + timedelta(seconds=stop.grace))
        if known is None:
            try:
                await self._begin(pod, stop)
            except RuntimeFault:
                # It was not told, so the next round tells it.
                del self.stopping[container.id]
                raise
            self._context.tell(pod, "Killing", stop.message, container=container.name)
        self._wake()

    async def _begin(self, pod: Pod, stop: Stop) -> None:
        container = stop.container
        hook = _hook(_model(pod, container.name), "pre_stop")
        if stop.grace <= 0:
            await self.kill(container)
        elif hook is not None:
            self._spawn(self._pre_stop(pod, hook, container, stop.grace))
        else:
            await self._context.runtime.signal(container.id, container.stop_signal)

    async def kill(self, container: Container) -> None:
        """The container had its time; one that outlives this is killed again."""
        await self._context.runtime.signal(container.id, "SIGKILL")
        again = self._context.clock.now() + timedelta(seconds=_KILL_AGAIN)
        self.stopping[container.id] = Stopping(again, killed=True)

    def keep(self, container_ids: Collection[str]) -> None:
        """Forget every container but these."""
        for notes in (self.stopping, self.condemned):
            for gone in notes.keys() - container_ids:
                del notes[gone]

    async def _pre_stop(self, pod: Pod, hook: Handler, container: Container, grace: float) -> None:
        outcome = await self._run(pod, hook, name=container.name, container_id=container.id, timeout=grace)
        if not outcome.ok:
            message = f"PreStopHook failed: {outcome.message}"
            self._context.tell(pod, "FailedPreStopHook", message, container=container.name, warn=True)
        least = self._context.clock.now() + timedelta(seconds=_AFTER_PRE_STOP)
        known = self.stopping.get(container.id)
        if known is not None and not known.killed and known.deadline < least and grace > _AFTER_PRE_STOP:
            self.stopping[container.id] = Stopping(least)
        # An engine that does not answer now is asked again by the plan, at the deadline.
        with contextlib.suppress(RuntimeFault):
            await self._context.runtime.signal(container.id, container.stop_signal)
        self._wake()

    def started(self, pod: Pod, name: str, container_id: str) -> None:
        """A container runs: its postStart hook begins."""
        hook = _hook(_model(pod, name), "post_start")
        if hook is not None:
            self._spawn(self._post_start(pod, hook, name, container_id))

    async def _post_start(self, pod: Pod, hook: Handler, name: str, container_id: str) -> None:
        outcome = await self._run(pod, hook, name=name, container_id=container_id, timeout=_POST_START_LIMIT)
        if not outcome.ok:
            message = f"PostStartHook failed: {outcome.message}"
            self._context.tell(pod, "FailedPostStartHook", message, container=name, warn=True)
            self.condemned[container_id] = "FailedPostStartHook"
            self._wake()

    async def _run(self, pod: Pod, hook: Handler, *, name: str, container_id: str, timeout: float) -> Outcome:
        model = _model(pod, name)
        if model is None:
            return Outcome(True)
        try:
            state = (await self._context.runtime.list(pod_uid=pod.uid)).get(pod.uid)
        except RuntimeFault as fault:
            return Outcome(False, str(fault))
        sandbox = state.sandbox if state is not None else None
        ip = (sandbox.ip if sandbox is not None else "") or self._context.host_ip
        return await self._context.handlers.run(hook, Target(model, container_id, ip), timeout=timeout)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._hooks.add(task)
        task.add_done_callback(self._hooks.discard)

    async def close(self) -> None:
        """Let go of the hooks under way."""
        hooks = list(self._hooks)
        for task in hooks:
            task.cancel()
        await asyncio.gather(*hooks, return_exceptions=True)


def _model(pod: Pod, name: str) -> ContainerModel | None:
    return next((c for c in pod.spec.every_container if c.name == name), None)


def _hook(model: ContainerModel | None, kind: str) -> Handler | None:
    if model is None or model.lifecycle is None:
        return None
    return model.lifecycle.pre_stop if kind == "pre_stop" else model.lifecycle.post_start
