"""Binding: many at once, off the decision's way.

The scheduler counts a pod as placed before its binding is written; a binder tells afterwards whether that held. Where
the answer is lost (a time-out, a broken connection, a server in trouble) the binding may have been written all the
same: its place must not be given to others, so the very same binding is written again until it is known. So it is where
the server has no time: another decision would only cost it more. The API server binds a pod once, and says where it is
bound already.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import aiohttp

from k8slite.clock import Clock
from k8slite.errors import ApiError

from . import metrics
from .blame import blame, told
from .framework import PreBind
from .profile import Profile
from .queue import Waiting
from .view import Pod

log = logging.getLogger(__name__)

#: Bindings under way at most. More do not go faster, they only wait in the API server.
CONCURRENCY = 48


#: How long to wait before each further try where the last one left it open; after them it counts as failed.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)

_ASSIGNED = re.compile(r'is already assigned to node "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Bound:
    """The API server has the binding."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The pod was bound before: by somebody else, or by a binding of ours whose answer was lost."""

    node: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The binding failed; the pod is tried again if it is still there to be bound.

    `outrun` means that the pod was deleted or changed meanwhile: nothing that a user must be told. `open` means that
    the last word has not been said: it may have been bound all the same, or still be if it is asked for again.
    """

    message: str
    outrun: bool = False
    open: bool = False


Outcome = Bound | Elsewhere | Refused


class Binder:
    """Runs the binding plugins of the profile that a pod names, so many at once; `settle` gets each outcome.

    What must be prepared before a binding may take minutes (a volume is made), so it takes no worker.
    """

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        clock: Clock,
        settle: Callable[[Waiting, str, Outcome], None],
        has_node: Callable[[str], bool],
        wanted: Callable[[Waiting], bool],
    ) -> None:
        self._profiles = profiles
        self._clock = clock
        self._settle = settle
        self._has_node = has_node
        self._wanted = wanted
        self._jobs: asyncio.Queue[tuple[Waiting, str]] = asyncio.Queue()
        self._free = CONCURRENCY
        self._room = asyncio.Event()
        self._room.set()
        self._preparing: set[asyncio.Task[None]] = set()

    @property
    def free(self) -> int:
        """How many more may be submitted now. Twice the concurrency may be, so that workers never idle."""
        return self._free + CONCURRENCY

    @property
    def under_way(self) -> int:
        """How many bindings are being written, or wait for that."""
        return CONCURRENCY - self._free

    async def room(self) -> None:
        """Return when at least one may be submitted."""
        await self._room.wait()

    def submit(self, waiting: Waiting, node: str) -> None:
        """Bind a pod in the background."""
        profile = self._profiles[waiting.pod.spec.scheduler_name]
        try:
            plugins = [plugin for plugin in profile.pre_bind if plugin.prepares(waiting.pod, node)]
        except Exception as error:
            self._settle(waiting, node, Refused(told(error)))
            return
        if not plugins:
            self._enqueue(waiting, node)
            return
        task = asyncio.create_task(self._prepare(waiting, node, plugins))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    def _enqueue(self, waiting: Waiting, node: str) -> None:
        self._free -= 1
        if self.free <= 0:
            self._room.clear()
        self._jobs.put_nowait((waiting, node))

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONCURRENCY):
                    group.create_task(self._work())
        finally:
            for task in self._preparing:
                task.cancel()

    async def _prepare(self, waiting: Waiting, node: str, plugins: Sequence[PreBind]) -> None:
        outcome = await attempt(lambda: _prepared(plugins, waiting.pod, node))
        if isinstance(outcome, Bound):
            self._enqueue(waiting, node)
        else:
            self._settle(waiting, node, outcome)

    async def _work(self) -> None:
        while True:
            waiting, node = await self._jobs.get()
            try:
                outcome = await self._bind(waiting, node)
            finally:
                self._free += 1
                if self.free > 0:
                    self._room.set()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return  # a plugin made another exception of it
            self._settle(waiting, node, outcome)

    async def _bind(self, waiting: Waiting, node: str) -> Outcome:
        pod = waiting.pod
        profile = self._profiles[pod.spec.scheduler_name]
        if not self._has_node(node):
            return Refused(f'node "{node}" is gone')
        started = perf_counter()
        outcome = await attempt(lambda: _write(profile, pod, node))
        unclear = isinstance(outcome, Refused) and outcome.open
        for pause in PAUSES if unclear else ():
            if not isinstance(outcome, Refused) or outcome.outrun:
                break  # any other refusal is about the last try, not about those before
            log.warning("binding %s to %s, once more in %g s: %s", pod.key, node, pause, outcome.message)
            await self._clock.sleep(pause)
            if not self._wanted(waiting):
                return Refused(outcome.message, outrun=True)
            outcome = await attempt(lambda: _write(profile, pod, node))
        status = "Success" if isinstance(outcome, Bound) else "Error"
        metrics.POINT_SECONDS.observe(perf_counter() - started, "Bind", status, pod.spec.scheduler_name)
        if isinstance(outcome, Elsewhere) and outcome.node == node:
            return Bound()
        return outcome


async def _prepared(plugins: Sequence[PreBind], pod: Pod, node: str) -> str:
    for plugin in plugins:
        if reason := await plugin.pre_bind(pod, node):
            return f'running PreBind plugin "{plugin.name}": {reason}'
    return ""


async def _write(profile: Profile, pod: Pod, node: str) -> str:
    for binding in profile.bind:
        if await binding.bind(pod, node):
            return ""
    return f"no bind plugin of {pod.spec.scheduler_name} binds the pod"


async def attempt(bind: Callable[[], Awaitable[str]]) -> Outcome:
    """Carry a binding out and say what its failure means; `bind` returns why it could not be tried."""
    try:
        if reason := await bind():
            return Refused(reason)
    except ApiError as error:
        if error.reason == "Conflict" and (assigned := _ASSIGNED.search(str(error))):
            return Elsewhere(assigned[1])
        outrun = error.reason in ("NotFound", "Conflict")
        return Refused(blame(error, str(error)), outrun=outrun, open=error.code >= 500 or error.code == 429)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Refused(blame(error, str(error) or type(error).__name__), open=True)
    except Exception as error:
        return Refused(told(error))
    return Bound()
