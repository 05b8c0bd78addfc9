"""One pod's worker: reads what runs, plans, reports, acts, until the plan is idle; then sleeps until it is woken.

A worker is serial: nothing else starts or stops containers of its pod. It holds what only time in this process knows
(back-off, who was told to stop); all else is read anew each round, so that a restarted kubelet carries on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import aiohttp

from k8slite.errors import ApiError
from k8slite.kinds.core import Pod, PodStatus
from k8slite.kinds.resources import PODS

from .container_spec import pod_ref
from .context import Context
from .launch import LaunchFault
from .lifecycle import Lifecycle
from .plan import Backoff, Facts, Plan, Waiting, crashed, plan
from .runtime.base import PodState, RuntimeFault, State
from .status import Observed, own_conditions, pod_status
from .together import all_of

log = logging.getLogger(__name__)

_RETRY_FIRST, _RETRY_MOST = 0.5, 30.0
_RETRY_WOKEN = 1.0
"""Seconds at most until a round that failed is tried again if something changed meanwhile: never at once."""
_DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


class PodWorker:
    """Brings one pod to what the API asks for."""

    def __init__(self, pod: Pod, *, context: Context, ended: Callable[[str], None]) -> None:
        self._pod = pod
        self._context = context
        self._ended = ended
        self._gone = False
        self._dirty = False
        self._cleaned = False
        self._let_go: str | None = None
        self._failures = 0
        self._backoff: dict[str, Backoff] = {}
        self._lifecycle = Lifecycle(context, wake=self.wake)
        self._waiting: dict[str, Waiting] = {}
        self._again: float | None = None
        self._told: dict[str, str] = {}
        self._deletion: tuple[datetime | None, float] | None = None
        self._own: PodStatus | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None

    @property
    def pod(self) -> Pod:
        """The pod as last seen in the API."""
        return self._pod

    def update(self, pod: Pod) -> None:
        """The API shows a new state."""
        self._pod = pod
        self.wake()

    def vanish(self, pod: Pod) -> None:
        """The API shows the pod no more: whatever runs of it has to end."""
        self._pod, self._gone = pod, True
        self.wake()

    def wake(self) -> None:
        """Something may have changed."""
        self._dirty = True
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """Stop working; containers run on."""
        tasks = [task for task in (self._task, self._timer) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._lifecycle.close()

    async def _run(self) -> None:
        again: float | None = None
        try:
            while self._dirty:
                self._dirty = False
                try:
                    again = await self._sync()
                    self._failures = 0
                except (RuntimeFault, LaunchFault, ApiError, aiohttp.ClientError, OSError) as fault:
                    again = self._retry_in()
                    log.warning("pod %s: %s; again in %.1f s", self._pod.key, fault, again)
                except Exception:
                    again = self._retry_in()
                    log.exception("pod %s: again in %.1f s", self._pod.key, again)
                if self._failures and self._dirty:
                    again = min(again or 0.0, _RETRY_WOKEN)
                    break
        finally:
            self._task = None
        self._sleep(again)

    def _retry_in(self) -> float:
        self._failures += 1
        return float(min(_RETRY_FIRST * 2 ** (self._failures - 1), _RETRY_MOST))

    def _sleep(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.ensure_future(self._wake_after(seconds))

    async def _wake_after(self, seconds: float) -> None:
        await self._context.clock.sleep(seconds)
        self._timer = None
        self.wake()

    async def _sync(self) -> float | None:
        """One round; seconds until the next if only time will change anything."""
        context = self._context
        now = context.clock.now()
        pod = self._view()
        state = (await context.runtime.list(pod_uid=pod.uid)).get(pod.uid) or PodState(pod_ref(pod))
        self._lifecycle.keep({container.id for container in state.containers})
        terminate, failure = self._termination(pod, now)
        if terminate is None and not pod.finished:
            context.health.follow(pod, state)
        else:
            context.health.stop_liveness(pod.uid)
        decided = plan(
            Facts(
                pod=pod,
                state=state,
                now=now,
                backoff=self._backoff,
                stopping=self._lifecycle.stopping,
                unhealthy={**context.health.unhealthy(pod.uid), **self._lifecycle.condemned},
                started=context.health.started(pod.uid),
                terminate=terminate,
            )
        )
        self._tell_back_off(pod, decided)
        self._again = None
        wanted = {start.name for start in decided.start}
        self._waiting = {name: waiting for name, waiting in self._waiting.items() if name in wanted}
        await self._report(pod, state, decided, failure)
        acted = await self._act(pod, state, decided)
        if acted:
            self._dirty = True
            return None
        if decided.ended:
            return await self._finish(pod, state)
        if self._waiting:
            await self._report(pod, state, decided, failure)
        if terminate is None and state.sandbox is not None:
            await context.launcher.refresh(pod)
        waits = [decided.look_again, self._again, context.launcher.refresh_in(pod), self._deadline_in(pod, now)]
        return min((seconds for seconds in waits if seconds is not None), default=None)

    def _view(self) -> Pod:
        """The pod with what this worker has reported and the API may not show yet."""
        if self._own is None:
            return self._pod
        status = self._pod.status
        own = self._own
        changes: dict[str, Any] = {"conditions": own_conditions(status.conditions, own.conditions)}
        if status.start_time is None:
            changes["start_time"] = own.start_time
        if not self._pod.finished and own.phase in ("Succeeded", "Failed"):
            changes["phase"] = own.phase
        return self._pod.model_copy(update={"status": status.model_copy(update=changes)})

    def _termination(self, pod: Pod, now: datetime) -> tuple[float | None, tuple[str, str] | None]:
        """The grace period if the pod must end, and the reason if it is the node's."""
        grace = pod.metadata.deletion_grace_period_seconds
        full = float(pod.spec.termination_grace_period_seconds if grace is None else grace)
        if pod.deleting:
            return self._grace_left(pod, full), None
        if self._gone:
            return full, None
        if not pod.finished and (left_to_run := self._deadline_in(pod, now)) is not None and left_to_run <= 0:
            return float(pod.spec.termination_grace_period_seconds), _DEADLINE
        return None, None

    def _grace_left(self, pod: Pod, full: float) -> float:
        """Counted from when this worker saw the deletion, not from the deletion.

        So neither a clock that differs from the API server's nor a kubelet that was away costs a pod its farewell.
        """
        moment, clock = pod.metadata.deletion_timestamp, self._context.clock
        if self._deletion is None or self._deletion[0] != moment:
            self._deletion = (moment, clock.monotonic())
        return max(0.0, full - (clock.monotonic() - self._deletion[1]))

    def _deadline_in(self, pod: Pod, now: datetime) -> float | None:
        limit, since = pod.spec.active_deadline_seconds, pod.status.start_time
        if limit is None or since is None or pod.finished:
            return None
        return limit - (now - since).total_seconds()

    def _tell_back_off(self, pod: Pod, decided: Plan) -> None:
        """One event for each back-off, not for each look at it."""
        held = {name: waiting.message for name, waiting in decided.waiting.items()}
        told, self._told = self._told, held
        for name, message in held.items():
            if told.get(name) != message:
                message = f"Back-off restarting failed container {name} in pod {pod.name}_{pod.namespace}({pod.uid})"
                self._context.tell(pod, "BackOff", message, container=name, warn=True)

    async def _report(self, pod: Pod, state: PodState, decided: Plan, failure: tuple[str, str] | None) -> None:
        """Compute the status and have it written."""
        context = self._context
        if self._gone:
            return
        if pod.finished and not state.containers:
            return  # nothing is left to report from; what was reported stays true
        messages = await context.messages.of(pod, state, directory=context.directory(pod.uid))
        running = any(c.state is State.RUNNING for c in state.containers)
        ending = pod.deleting or failure is not None
        ready = context.health.ready(pod.uid)
        status = pod_status(
            Observed(
                pod=pod,
                state=state,
                now=context.clock.now(),
                host_ip=context.host_ip,
                waiting={**decided.waiting, **self._waiting},
                ready=_ready(ready, ending=pod.deleting, failed=failure is not None, stopping=self._lifecycle.stopping),
                started=context.health.started(pod.uid),
                messages=messages,
                ended=ending and not running and not decided.start,
                failure=failure if not running else None,
                id_prefix=context.id_prefix,
            )
        )
        self._own = PodStatus.model_validate(_readable(status))
        context.writer.put(self._pod, status)

    async def _act(self, pod: Pod, state: PodState, decided: Plan) -> bool:
        """Carry a plan out; whether anything moved."""
        context, runtime = self._context, self._context.runtime
        await all_of(*(self._lifecycle.kill(container) for container in decided.kill))
        await all_of(*(self._lifecycle.stop(pod, stop) for stop in decided.stop))
        if decided.stop_sandboxes:
            await all_of(*(runtime.stop_sandbox(key) for key in decided.stop_sandboxes))
            await context.launcher.disconnect(pod)
        removals = [runtime.remove_container(key) for key in decided.remove_containers]
        removals += [runtime.remove_sandbox(key) for key in decided.remove_sandboxes]
        await all_of(*removals)
        moved = bool(decided.stop_sandboxes or removals)
        if decided.start:
            moved |= await self._launch(pod, state, decided)
        return moved

    async def _launch(self, pod: Pod, state: PodState, decided: Plan) -> bool:
        launched = await self._context.launcher.launch(pod, decided, state, wake=self.wake)
        now = self._context.clock.now()
        self._waiting, self._again = dict(launched.waiting), launched.again
        for start in decided.start:
            failed = start.name in launched.waiting and launched.waiting[start.name].reason == "RunContainerError"
            if start.restart and (start.name in launched.running or failed):
                self._backoff[start.name] = crashed(self._backoff.get(start.name), now=now)
        for name, key in launched.running.items():
            self._lifecycle.started(pod, name, key)
        made = decided.create_sandbox is not None
        return made or bool(launched.running) or any(w.reason == "RunContainerError" for w in self._waiting.values())

    async def _finish(self, pod: Pod, state: PodState) -> float | None:
        """Nothing of the pod runs any more: clean up, and let the API forget it."""
        context = self._context
        if not pod.deleting and not self._gone:
            return None
        if not self._cleaned:
            await context.launcher.clean(pod, state)
            context.health.forget(pod.uid)
            self._cleaned = True
        if self._gone:
            context.messages.forget(pod.uid)
            context.writer.forget(pod.uid)
            self._ended(pod.uid)
            return None
        await context.writer.flush(pod.uid)
        if self._let_go == self._pod.metadata.resource_version:
            return None
        try:
            await context.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid, grace_period=0)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        # Finalizers may keep the object; its disappearance ends this worker.
        self._let_go = self._pod.metadata.resource_version
        return None


def _ready(ready: frozenset[str], *, ending: bool, failed: bool, stopping: Mapping[str, object]) -> frozenset[str]:
    """Who counts as ready: of a pod that lives on, or that its node ends, nobody who is being stopped.

    A deleted pod is no endpoint any more; what of it still answers is told for proxies that have no other.
    """
    if failed:
        return frozenset()
    return ready if ending else ready - stopping.keys()


def _readable(status: dict[str, Any]) -> dict[str, Any]:
    """A patch as a status: without directives, and with removed reasons empty."""
    conditions = [{k: v for k, v in c.items() if v is not None} for c in status["conditions"]]
    return {**status, "conditions": conditions, "podIPs": [ip for ip in status.get("podIPs", []) if "ip" in ip]}
