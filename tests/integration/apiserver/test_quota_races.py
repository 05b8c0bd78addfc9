"""A quota is never exceeded, whatever comes at once: creations by two servers, deletions, and the controller's counts.

The real registry and store in one process, the real charging (one for each server), and the controller's decisions.
Between a charge and the object's write, and between a count and its write, others get their turns, as many as they
like: no write is so slow that a count makes room which it is about to use.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8slite.apiserver import documents
from k8slite.apiserver.admission.chain import Chain
from k8slite.apiserver.admission.quota import marks
from k8slite.apiserver.admission.quota.plugin import ResourceQuota
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.calls import Call
from k8slite.apiserver.registry import Registry
from k8slite.apiserver.storage.base import Record, RevisionMismatch, Store, Unless
from k8slite.apiserver.verbs.deleting import delete
from k8slite.apiserver.verbs.writing import create
from k8slite.apiserver.wire.negotiation import OBJECT
from k8slite.apiserver.wire.options import DEFAULT
from k8slite.apiserver.wire.request import parse
from k8slite.controllers.resourcequota.plan import status
from k8slite.errors import ApiError
from k8slite.testing import RunningServer, running_server
from k8slite.usage.amounts import Amount
from k8slite.usage.measures import Quota, read_quota

HARD = 4
ROOT = User("root", groups=("system:masters",))

Step = tuple[str, int, int]
"""create by a server, delete the object of a number, or count; and the turns that others get in between."""

steps = st.tuples(st.sampled_from(["create", "create", "delete", "count"]), st.integers(0, 5), st.integers(0, 40))
histories = st.lists(st.lists(steps, max_size=10), max_size=6)


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class SlowStore:
    """The store, which lets others go first, and sees to it that the quota holds after each write."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world
        self.get = store.get
        self.range = store.range
        self.revision = store.revision
        self.delete = store.delete

    async def create(self, key: str, value: bytes, *, unless: Sequence[Unless] = ()) -> Record:
        await turns(self._world.turns.get(key.rpartition("/")[2], 0))
        made = await self._store.create(key, value, unless=unless)
        assert len(self._world.objects()) <= HARD
        return made

    async def update(self, key: str, value: bytes, *, expected: int, unless: Sequence[Unless] = ()) -> Record:
        await turns(expected % 3)
        return await self._store.update(key, value, expected=expected, unless=unless)


@dataclass
class World:
    """One namespace with one quota, and two servers that charge it."""

    server: RunningServer
    namespace: str
    turns: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A quota is counted by one controller, once at a time."""

    def __post_init__(self) -> None:
        original: Registry = self.server.app.registry
        self.servers = []
        for _ in range(2):
            registry = copy.copy(original)
            registry.store = SlowStore(original.store, self)  # type: ignore[assignment]
            plugin = ResourceQuota(original.cache, registry=lambda registry=registry: registry)
            registry.admission = Chain([plugin])
            self.servers.append(registry)

    def objects(self) -> list[Any]:
        return self.server.app.cache.resource("", "configmaps").select(namespace=self.namespace)

    def record(self) -> Record:
        entry = self.server.app.cache.resource("", "resourcequotas").get(self.namespace, "q")
        return Record(entry.key, entry.value, entry.revision)

    def quota(self) -> Quota:
        return read_quota(documents.decode(self.record().value))

    def call(self, method: str, path: str, body: Any = None) -> Call:
        info = parse(method, path, DEFAULT)
        resource = self.servers[0].catalogue.by_path(info.group, info.version, info.plural)
        assert resource is not None

        async def nobody(*_: Any) -> Any:
            raise AssertionError("nobody speaks on the connection")

        return Call(
            info=info,
            options=DEFAULT,
            user=ROOT,
            resource=resource,
            accept=OBJECT,
            content_type="application/json",
            body=orjson.dumps(body) if body is not None else b"",
            scope={"headers": []},
            receive=nobody,
            send=nobody,
            permit=nobody,
        )

    async def create(self, server: int, turns: int) -> None:
        name = f"c{len(self.names)}"
        self.names.append(name)
        self.turns[name] = turns
        path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        try:
            await create(self.servers[server % 2], self.call("POST", path, {"metadata": {"name": name}}))
        except ApiError as error:
            overtaken = error.code == 503 and error.retry_after and "overtaken" in error.message
            assert overtaken or "exceeded quota: q, requested: configmaps=1" in error.message, error

    async def delete(self, number: int) -> None:
        if self.names:
            name = self.names[number % len(self.names)]
            path = f"/api/v1/namespaces/{self.namespace}/configmaps/{name}"
            try:
                await delete(self.servers[0], self.call("DELETE", path))
            except ApiError as error:
                assert error.code == 404

    async def count(self, number: int) -> None:
        """What the controller does with one quota, at the worst of times: while charged objects are on their way."""
        begun = self.quota()
        await turns(number)
        await marks.begin(self.servers[0].store, self.namespace, [("", "configmaps")])
        await turns(number)
        counted = {"configmaps": Amount(Decimal(len(self.objects())))}
        for _ in range(5):
            await turns(number)
            record = self.record()
            decided = status(read_quota(documents.decode(record.value)), counted, begun=begun, uncountable=())
            if decided.patch is None:
                return
            await turns(number)
            document = documents.decode(record.value)
            document["status"] = decided.patch
            value = documents.encode(document, self.servers[0].find("", "v1", "resourcequotas").stored)
            try:
                await self.servers[0].store.update(record.key, value, expected=record.revision)
            except RevisionMismatch:
                continue
            return

    async def step(self, step: Step) -> None:
        what, number, turns = step
        match what:
            case "create":
                await self.create(number, turns)
            case "delete":
                await self.delete(number)
            case _:
                async with self.counting:
                    await self.count(turns)


async def play(server: RunningServer, namespace: str, history: list[list[Step]]) -> None:
    hard = {"configmaps": str(HARD)}
    async with server.http() as http:
        await http.post("/api/v1/namespaces", json={"metadata": {"name": namespace}})
        path = f"/api/v1/namespaces/{namespace}/resourcequotas"
        await http.post(path, json={"metadata": {"name": "q"}, "spec": {"hard": hard}})
        await http.put(
            f"{path}/q/status", json={"metadata": {"name": "q"}, "status": {"hard": hard, "used": {"configmaps": "0"}}}
        )
    world = World(server, namespace)
    for batch in history:
        await asyncio.gather(*map(world.step, batch))
        used = world.quota().used["configmaps"].value
        assert len(world.objects()) <= used <= HARD
    await world.count(0)
    assert world.quota().used["configmaps"].value == len(world.objects())


def test_a_quota_is_never_exceeded() -> None:
    with asyncio.Runner() as runner:
        opened = running_server()
        server = runner.run(opened.__aenter__())
        numbers = iter(range(10_000))

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(histories)
        def check(history: list[list[Step]]) -> None:
            runner.run(play(server, f"race-{next(numbers)}", history))

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))
