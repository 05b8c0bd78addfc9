"""Two servers whose caches lag give out addresses and ports in every order of steps: none has two holders, ever.

Each server is the real allocator, over a store that lets others go first before and after each of its steps, and a
cache that is told late. Clocks jump, so that claims which are still in use pass for abandoned; requests end in the
midst, as those of a server that dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.allocation.allocator import Allocator
from k8slite.apiserver.allocation.claims import Claims
from k8slite.apiserver.allocation.holdings import Holdings, Item, items_of
from k8slite.apiserver.allocation.ranges import Ranges
from k8slite.apiserver.authn.base import ANONYMOUS
from k8slite.apiserver.storage.base import Change, KeyExists, Overtaken, RevisionMismatch
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.strategies.base import Context
from k8slite.apiserver.strategies.services import ServiceStrategy
from k8slite.apiserver.watching.cache import WatchCache
from k8slite.errors import ApiError

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SERVICES = "/core/services/default/"
TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")

Step = tuple[str, int, str, bool, int]
"""What is done, to the Service of which number, its type, whether it asks for what all want, and how patient it is."""
steps = st.tuples(
    st.sampled_from(["create", "create", "create", "update", "update", "delete", "jump", "jump", "repair", "unlock"]),
    st.integers(0, 3),
    st.sampled_from(TYPES),
    st.sampled_from([True, True, False]),
    st.none() | st.none() | st.integers(0, 200),
)


class Lagging:
    """One server's way to the store that all share."""

    def __init__(self, store: MemoryStore, chance: random.Random) -> None:
        self._store = store
        self._chance = chance

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)

        async def slow(*args: Any, **options: Any) -> Any:
            await self._turns()
            try:
                return await operation(*args, **options)
            finally:
                await self._turns()

        if name in ("follow", "progress"):
            raise AttributeError(name)
        return slow

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[list[Change]]:
        async for batch in self._store.watch(prefix, after=after):
            await self._turns(0, 20, 200)
            yield batch

    async def _turns(self, *numbers: int) -> None:
        for _ in range(self._chance.choice(numbers or (0, 1, 2, 5, 40))):
            await asyncio.sleep(0)


class Server:
    """What becomes of Services on one of the servers, as `verbs/writing.py` and `verbs/deleting.py` have it."""

    def __init__(self, store: MemoryStore, chance: random.Random) -> None:
        self.store: Any = Lagging(store, chance)
        self.cache = WatchCache()
        holdings = Holdings(self.cache.resource("", "services"))
        self.claims = Claims(self.store, holdings=holdings, consistent=self.cache.consistent)
        allocator = Allocator(
            ranges=Ranges("10.0.0.0/29,fd00::/125"),
            node_ports=(30000, 30003),
            holdings=holdings,
            claims=self.claims,
            source=chance,
        )
        self.strategy = ServiceStrategy(allocator)

    def context(self, now: datetime) -> Context:
        return Context(ANONYMOUS, now, "default", dry_run=False, lookup=lambda *_: None, warnings=[])

    async def create(self, name: str, spec: dict[str, Any], now: datetime) -> None:
        obj = {"metadata": {"name": name}, "spec": spec}
        context = self.context(now)
        finish = await self.strategy.begin(obj, None, context)
        try:
            await self.store.create(SERVICES + name, encoded(obj), unless=context.unless)
        except (KeyExists, Overtaken):
            await finish(False)
        else:
            await finish(True)

    async def update(self, name: str, spec: dict[str, Any], now: datetime) -> None:
        entry = self.cache.resource("", "services").get("default", name)
        if entry is None:
            return
        old, obj = entry.document, {"metadata": {"name": name}, "spec": dict(spec)}
        obj["spec"].pop("clusterIP", None)
        context = self.context(now)
        self.strategy.prepare_update(obj, old, context)
        finish = await self.strategy.begin(obj, old, context)
        try:
            await self.store.update(entry.key, encoded(obj), expected=entry.revision, unless=context.unless)
        except (RevisionMismatch, Overtaken):
            await finish(False)
        else:
            await finish(True)

    async def delete(self, name: str, now: datetime) -> None:
        entry = self.cache.resource("", "services").get("default", name)
        if entry is None:
            return
        with contextlib.suppress(RevisionMismatch):
            await self.store.delete(entry.key, expected=entry.revision)
            await self.strategy.after_delete(entry.document, self.context(now))


def encoded(obj: dict[str, Any]) -> bytes:
    metadata = {"resourceVersion": "", **obj["metadata"]}
    return orjson.dumps({"kind": "Service", "apiVersion": "v1", "metadata": metadata, "spec": obj["spec"]})


def wanted(kind: str, *, popular: bool, both: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": kind, "ports": [{"port": 80, "protocol": "TCP"}]}
    if both and kind != "ExternalName":
        spec["ipFamilyPolicy"] = "PreferDualStack"
    if popular and kind != "ExternalName":
        spec |= {"clusterIP": "10.0.0.3", "clusterIPs": ["10.0.0.3"]}
    if popular and kind in ("NodePort", "LoadBalancer"):
        spec["ports"][0]["nodePort"] = 30001
    return spec


class World:
    """The shared store, the servers, and what time it is."""

    def __init__(self, seed: int) -> None:
        self.twice: list[Item] = []
        chance = random.Random(seed)
        self.store = MemoryStore()
        self.now = EPOCH
        self.servers = [Server(self.store, random.Random(chance.random())) for _ in range(2)]

    async def run(self, histories: list[list[Step]]) -> None:
        await self.store.open()
        self.store.follow(lambda _: self.check())
        for server in self.servers:
            await server.cache.start(server.store)
        try:
            await asyncio.gather(
                *(self.client(self.servers[index % 2], history) for index, history in enumerate(histories))
            )
        finally:
            for server in self.servers:
                await server.cache.stop()
            await self.store.close()

    async def client(self, server: Server, history: list[Step]) -> None:
        for verb, number, kind, popular, patience in history:
            if verb == "jump":
                self.now += timedelta(minutes=3)
                continue
            spec = wanted(kind, popular=popular, both=number % 2 == 1)
            work = asyncio.ensure_future(self.one(server, verb, f"s{number}", spec))
            for _ in range(patience if patience is not None else 0):
                await asyncio.sleep(0)
            if patience is not None:
                work.cancel()  # its server dies here
            with contextlib.suppress(asyncio.CancelledError, ApiError):
                await work

    async def one(self, server: Server, verb: str, name: str, spec: dict[str, Any]) -> None:
        match verb:
            case "create":
                await server.create(name, spec, self.now)
            case "update":
                await server.update(name, spec, self.now)
            case "delete":
                await server.delete(name, self.now)
            case "repair":
                await server.claims.repair(self.now)
            case "unlock":
                await self.unlock(server)

    async def unlock(self, server: Server) -> None:
        """A user deletes the address that all want, of whoever holds it."""
        key = "/networking.k8s.io/ipaddresses/10.0.0.3"
        record = await server.store.get(key)
        held = any(("10.0.0.3", 0) in items_of(obj) for obj in self.services())
        if record is not None and held:
            with contextlib.suppress(RevisionMismatch):
                await server.store.delete(key, expected=record.revision)

    def services(self) -> list[dict[str, Any]]:
        return [orjson.loads(record.value) for record in self.store._keys.range(SERVICES, after="", limit=0)[0]]

    def check(self) -> None:
        """Called in the midst of each write of the store."""
        held: Counter[Item] = Counter()
        for obj in self.services():
            held.update(set(items_of(obj)))
        self.twice += [item for item, count in held.items() if count > 1]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(steps, min_size=1, max_size=8), min_size=2, max_size=5), st.integers(0, 1 << 30))
def test_nothing_is_held_twice(histories: list[list[Step]], seed: int) -> None:
    world = World(seed)
    asyncio.run(world.run(histories))
    assert world.twice == []
