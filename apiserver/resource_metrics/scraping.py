"""Asks kubelets for their pages, when somebody asks us, and remembers them for as long as somebody does.

What is a second old is good enough; else a fresh page is fetched, and the rate taken since an earlier one. Without an
earlier one (nobody asked for half a minute) there are two, a second apart. Who asks for the same nodes at the same time
shares it. A node that does not answer in time is left out, and left alone for a moment. When nobody asks any more,
connections and points go, and nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from k8slite.clock import Clock
from k8slite.errors import ApiError, not_found

from ..lookup import Objects
from ..proxying.kubelets import Kubelets
from .pages import parse
from .tracks import LONGEST, History

if TYPE_CHECKING:
    from k8slite.pool import Answer, Pool

    from ..lookup import Entry

log = logging.getLogger(__name__)

_FRESH = 1.0
"""Seconds that a page is good for, and that two are apart."""
_PATIENCE = 1.5
"""Seconds that a kubelet has to answer, connection and all."""
_AT_MOST = 10.0
"""Seconds after which a request is answered with what is known by then."""
_REST = 5.0
"""Seconds that a node which did not answer is left alone."""
_SILENCE = 5.0
"""Seconds after which what a node told that does not answer any more is not told either."""
_FORGOTTEN = 60.0
"""Seconds after which what nobody asks for is forgotten."""
_AT_ONCE, _TO_ONE = 256, 16
"""How many requests are under way at once, in all and to one address: simulated nodes share theirs."""
_LARGEST = 4 << 20
"""Bytes of a page: five thousand containers. It is read in one go, while nothing else is answered."""
PATH_ANNOTATION = "metrics.k8s.io/resource-metrics-path"
"""Where a node's page is, if not at the usual path; what metrics-server reads too."""
_PATH = "/metrics/resource"
_PLAIN = re.compile(r"/metrics(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
Place = tuple[str, int]


class _Kubelet:
    """One node's."""

    __slots__ = ("asked", "failed", "history", "path", "place", "retry", "revision", "taken", "task")

    def __init__(self) -> None:
        self.history = History()
        self.taken: float | None = None
        self.asked = 0.0
        self.failed = False
        self.retry = 0.0
        self.revision = -1
        self.place: Place = ("", 0)
        self.path = _PATH
        self.task: asyncio.Task[None] | None = None

    def speaks(self, now: float) -> bool:
        """Whether the node was heard of lately: while it is asked, or waits for its turn, what it said holds."""
        return self.taken is not None and now - self.taken < (_SILENCE if self.failed else LONGEST)


class _Door:
    """The way to one address."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.turns = asyncio.Semaphore(_TO_ONE)


class Scraper:
    """One server's. `histories` is all that others need."""

    def __init__(self, kubelets: Kubelets, *, objects: Objects, clock: Clock) -> None:
        self._kubelets, self._objects, self._clock = kubelets, objects, clock
        self._known: dict[str, _Kubelet] = {}
        self._doors: dict[Place, _Door] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._sweeping: asyncio.TimerHandle | None = None

    async def histories(self, nodes: Iterable[str]) -> Mapping[str, History]:
        """What these nodes tell now, without those that are silent. Raises ApiError 503 without a certificate."""
        self._kubelets.tls  # noqa: B018 - says at once what no node could
        now = self._clock.monotonic()
        wanted = {name: self._known.setdefault(name, _Kubelet()) for name in nodes}
        waiting = []
        for name, kubelet in wanted.items():
            kubelet.asked = now
            if kubelet.task is None and not self._is_fresh(kubelet, now) and now >= kubelet.retry:
                kubelet.task = asyncio.create_task(self._renew(name, kubelet))
            if kubelet.task is not None and not kubelet.failed:  # who is tried again is nobody to wait for
                waiting.append(kubelet.task)
        if self._sweeping is None and wanted:
            self._sweep_later()
        if waiting:
            await asyncio.wait(waiting, timeout=_AT_MOST)
        now = self._clock.monotonic()
        return {name: kubelet.history for name, kubelet in wanted.items() if kubelet.speaks(now)}

    async def close(self) -> None:
        """Ask nobody any more."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        tasks = [kubelet.task for kubelet in self._known.values() if kubelet.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for door in self._doors.values():
            door.pool.close()
        self._known.clear()
        self._doors.clear()

    def _is_fresh(self, kubelet: _Kubelet, now: float) -> bool:
        return kubelet.taken is not None and now - kubelet.taken <= _FRESH and kubelet.history.is_telling(now=now)

    async def _renew(self, name: str, kubelet: _Kubelet) -> None:
        """Bring what is known of a node up to date."""
        try:
            taken = kubelet.taken
            if taken is None or self._clock.monotonic() - taken > _FRESH:
                taken = await self._fetch(name, kubelet)
            if not kubelet.history.is_telling(now=taken):
                await self._clock.sleep(max(0.0, taken + _FRESH - self._clock.monotonic()))
                await self._fetch(name, kubelet)
        except (ApiError, OSError, TimeoutError, ValueError) as error:
            log.debug("node %s does not tell its usage: %s", name, error or type(error).__name__)
            self._failed(kubelet)
        except Exception:  # one node must not spoil the answer for others
            log.exception("the usage of node %s cannot be read", name)
            self._failed(kubelet)
        finally:
            kubelet.task = None

    def _failed(self, kubelet: _Kubelet) -> None:
        kubelet.failed, kubelet.retry = True, self._clock.monotonic() + _REST

    async def _fetch(self, name: str, kubelet: _Kubelet) -> float:
        """Take in a fresh page; when it came. Raises ApiError, OSError, TimeoutError."""
        entry = self._objects.resource("", "nodes").get("", name)
        if entry is None:
            raise not_found("nodes", name)
        if entry.revision != kubelet.revision:
            _locate(kubelet, name, entry)
        answer, taken = await self._ask(self._door(kubelet.place), kubelet.path)
        if answer.code != 200:
            raise OSError(f"the kubelet answered {answer.code}")
        kubelet.history.add(parse(answer.body, taken=taken, now=self._clock.now().timestamp()))
        kubelet.taken, kubelet.failed = taken, False
        return taken

    async def _ask(self, door: _Door, path: str) -> tuple[Answer, float]:
        """An answer, and when it came."""
        import aiohttp  # whoever asks nobody needs none of it

        async with self._turns, door.turns:
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer = await door.pool.request("GET", path)
            except aiohttp.ClientError as error:
                raise OSError(str(error) or type(error).__name__) from error
            return answer, self._clock.monotonic()

    def _door(self, place: Place) -> _Door:
        door = self._doors.get(place)
        if door is None:
            from k8slite.pool import Pool

            host, port = place
            server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
            headers = {"User-Agent": "k8slite-apiserver", "Accept": "text/plain"}
            pool = Pool(server, tls=self._kubelets.tls, headers=headers, largest=_LARGEST)
            door = self._doors[place] = _Door(pool)
        return door

    def _sweep_later(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(_FORGOTTEN, self._sweep)

    def _sweep(self) -> None:
        """Forget what nobody asked for lately; when nothing is left, come no more."""
        now = self._clock.monotonic()
        self._known = {
            name: each for name, each in self._known.items() if each.task is not None or now - each.asked < _FORGOTTEN
        }
        used = {each.place for each in self._known.values()}
        for place in [place for place in self._doors if place not in used]:
            self._doors.pop(place).pool.close()
        self._sweeping = None
        if self._known:
            self._sweep_later()


def _locate(kubelet: _Kubelet, name: str, entry: Entry) -> None:
    """Where the node's page is now. Raises ApiError."""
    document = entry.document
    kubelet.place = Kubelets.place_of(name, document)
    path = (document["metadata"].get("annotations") or {}).get(PATH_ANNOTATION) or _PATH
    # Our certificate opens every door of a kubelet: a Node must not lead it to another.
    kubelet.path = path if _PLAIN.fullmatch(path) else _PATH
    kubelet.revision = entry.revision
