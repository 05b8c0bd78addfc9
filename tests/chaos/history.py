"""What writers were told and what watchers saw, and whether the two agree.

A writer owns its objects, so it knows what each must be: what the server acknowledged last, or, when an answer was
lost, that or what it had asked for. A watcher resumes where it was whenever its stream ends. Each write has a value of
its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import aiohttp

from k8slite.client import Client
from k8slite.errors import ApiError
from k8slite.kinds.core import ConfigMap
from k8slite.kinds.resources import CONFIG_MAPS

NAMESPACE = "default"
FAULTS = (aiohttp.ClientError, OSError, ApiError)


@dataclass(frozen=True)
class State:
    """An object as the server told it."""

    value: str
    revision: int


@dataclass(frozen=True)
class Change:
    """One event of a watch."""

    type: str
    name: str
    value: str
    revision: int


def state_of(found: ConfigMap) -> State:
    return State(found.data["value"], int(found.metadata.resource_version))


@dataclass
class Ledger:
    """What all writers were told."""

    highest: int = 0
    told: dict[tuple[str, int], str] = field(default_factory=dict)
    """Value by name and revision, acknowledged or read."""
    deleted: list[tuple[str, int]] = field(default_factory=list)
    """Name and the revision that the deletion was of."""
    issued: set[str] = field(default_factory=set)
    count: int = 0
    _grown: asyncio.Event = field(default_factory=asyncio.Event)

    def acknowledge(self, name: str, state: State) -> None:
        self.told[name, state.revision] = state.value
        self.highest = max(self.highest, state.revision)
        self.grow()

    def grow(self) -> None:
        self.count += 1
        self._grown.set()

    async def more(self, number: int) -> None:
        """Return after so many more acknowledged writes."""
        goal = self.count + number
        async with asyncio.timeout(60):
            while self.count < goal:
                self._grown.clear()
                await self._grown.wait()


class Writer:
    """Creates, updates and deletes its objects through any of the servers, one write at a time."""

    def __init__(self, name: str, clients: Sequence[Client], ledger: Ledger, *, chance: random.Random) -> None:
        self.names = [f"{name}-{letter}" for letter in "abcd"]
        self._name = name
        self._clients = clients
        self._ledger = ledger
        self._chance = chance
        self._numbers = itertools.count()
        self.known: dict[str, State | None] = dict.fromkeys(self.names)
        self._maybe: dict[str, set[str | None]] = {each: set() for each in self.names}
        """Values (None for a deletion) that were asked for and not answered since the last answer."""
        self.ended = False

    async def run(self) -> None:
        while not self.ended:
            await self._write(self._chance.choice(self.names))

    async def _write(self, name: str) -> None:
        before, started_at = self.known[name], self._ledger.highest
        delete = before is not None and self._chance.random() < 0.2
        value = f"{self._name}-{next(self._numbers)}"
        client = self._chance.choice(self._clients)
        self._ledger.issued.add(value)
        try:
            after = await self._ask(client, name, before, value, delete=delete)
        except FAULTS as error:
            assert not isinstance(error, ApiError) or error.code in (404, 409, 429) or error.code >= 500, error
            self._maybe[name].add(None if delete else value)
            await self._look(name)
            return
        if after is None:
            assert before is not None
            self._ledger.deleted.append((name, before.revision))
            self._ledger.grow()
        else:
            assert after.revision > started_at, "a later write has a higher revision"
            self._ledger.acknowledge(name, after)
        self.known[name] = after
        self._maybe[name].clear()
        if self._chance.random() < 0.3:
            await self._read_back(name)

    async def _ask(self, client: Client, name: str, before: State | None, value: str, *, delete: bool) -> State | None:
        metadata = {"name": name}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}
        if before is None:
            return state_of(await client.create(CONFIG_MAPS, body, namespace=NAMESPACE))
        if delete:
            await client.delete(CONFIG_MAPS, name, namespace=NAMESPACE, resource_version=str(before.revision))
            return None
        metadata["resourceVersion"] = str(before.revision)
        return state_of(await client.update(CONFIG_MAPS, name, body, namespace=NAMESPACE))

    async def _get(self, client: Client, name: str) -> State | None:
        try:
            return state_of(await client.get(CONFIG_MAPS, name, namespace=NAMESPACE))
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    async def _look(self, name: str) -> None:
        """After a lost answer: what became of the object."""
        before = self.known[name]
        async with asyncio.timeout(60):
            while True:
                try:
                    found = await self._get(self._chance.choice(self._clients), name)
                    break
                except FAULTS:
                    await asyncio.sleep(0.02)
        if found == before:
            return
        assert (found.value if found else None) in self._maybe[name], f"{name}: {before} became {found}"
        if found is not None:
            self._ledger.acknowledge(name, found)
        self.known[name] = found

    async def _read_back(self, name: str) -> None:
        """Any server knows what one of them has acknowledged: by name, and in a list."""
        client = self._chance.choice(self._clients)
        with contextlib.suppress(*FAULTS):
            assert await self._get(client, name) == self.known[name], "a read after a write is of that write"
            listing = await client.list(CONFIG_MAPS, namespace=NAMESPACE)
            listed = {each.name: state_of(each) for each in listing.items}
            assert listed.get(name) == self.known[name], "a list after a write has that write"


class Watcher:
    """Watches from a revision on, through any of the servers; resumes where it was, also now and then by itself."""

    def __init__(self, clients: Sequence[Client], *, revision: str, restless: float, chance: random.Random) -> None:
        self._clients = clients
        self._revision = revision
        self._restless = restless
        self._chance = chance
        self.history: list[Change] = []
        self.resumed = -1

    async def until(self, revision: int) -> None:
        """Watch until a revision was seen."""
        while int(self._revision) < revision:
            self.resumed += 1
            try:
                await self._watch(self._chance.choice(self._clients), revision)
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.02)
            except ApiError as error:
                assert error.code >= 500, f"after {self._revision}: {error}"
                await asyncio.sleep(0.02)

    async def _watch(self, client: Client, revision: int) -> None:
        async with contextlib.aclosing(
            client.watch(CONFIG_MAPS, resource_version=self._revision, namespace=NAMESPACE)
        ) as events:
            async for event in events:
                seen = int(event.object.metadata.resource_version)
                if event.type == "BOOKMARK":
                    assert seen >= int(self._revision), "a bookmark does not go back"
                else:
                    assert seen > int(self._revision), (
                        f"{event.type} {event.object.name} at {seen} after {self._revision}: again, or out of order"
                    )
                    self.history.append(Change(event.type, event.object.name, event.object.data.get("value", ""), seen))
                self._revision = event.object.metadata.resource_version
                if seen >= revision or self._chance.random() < self._restless:
                    return


@dataclass(frozen=True)
class Scale:
    """How much of it."""

    writers: int
    watchers: int
    kills: int


@dataclass
class Traffic:
    """Writers and watchers at work."""

    ledger: Ledger
    writers: list[Writer]
    watchers: list[Watcher]
    start: str


@contextlib.asynccontextmanager
async def traffic(clients: Sequence[Client], scale: Scale, *, chance: random.Random) -> AsyncIterator[Traffic]:
    """Write and watch during the block; at its end everything is compared. Raises AssertionError."""
    listing = await clients[0].list(CONFIG_MAPS, namespace=NAMESPACE)
    ledger, start = Ledger(), listing.resource_version

    def own() -> random.Random:
        return random.Random(chance.random())

    writers = [Writer(f"w{number}", clients, ledger, chance=own()) for number in range(scale.writers)]
    watchers = [
        Watcher(clients, revision=start, restless=(number % 3) * 0.02, chance=own()) for number in range(scale.watchers)
    ]
    far_away = 1 << 62
    end = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(writer.run()) for writer in writers]
        watching = [group.create_task(_watch_to_the_end(watcher, end, far_away)) for watcher in watchers]
        yield Traffic(ledger, writers, watchers, start)
        for writer in writers:
            writer.ended = True
        await asyncio.wait(tasks)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "end"}, "data": {"value": "end"}}
        last = state_of(await clients[0].create(CONFIG_MAPS, body, namespace=NAMESPACE))
        ledger.issued.add("end")
        ledger.acknowledge("end", last)
        end.set_result(last.revision)
        async with asyncio.timeout(30):
            await asyncio.wait(watching)
    for client in clients:
        listing = await client.list(CONFIG_MAPS, namespace=NAMESPACE)
        verify(ledger, writers, watchers, {each.name: state_of(each) for each in listing.items})
        assert int(listing.resource_version) >= ledger.highest


async def _watch_to_the_end(watcher: Watcher, end: asyncio.Future[int], far_away: int) -> None:
    watching = asyncio.ensure_future(watcher.until(far_away))
    try:
        await asyncio.wait({watching, end}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        while watcher.history[-1].revision < end.result():
            assert not watching.done(), watching.exception()
            await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def verify(ledger: Ledger, writers: Sequence[Writer], watchers: Sequence[Watcher], final: dict[str, State]) -> None:
    """Compare what was acknowledged, what was watched and what is there. Raises AssertionError."""
    for writer in writers:
        for name in writer.names:
            found = final.get(name)
            late = writer._maybe[name]
            assert found == writer.known[name] or (found.value if found else None) in late, f"{name}: lost"
    first = watchers[0].history
    for watcher in watchers:
        assert watcher.history == first, "all watchers see the same"
    assert [change.revision for change in first] == sorted({change.revision for change in first})
    states: dict[str, State] = {}
    gone: set[tuple[str, int]] = set()
    values: set[str] = set()
    for change in first:
        before = states.get(change.name)
        if change.type == "DELETED":
            assert before is not None, f"{change}: it was not there"
            gone.add((change.name, before.revision))
            del states[change.name]
            continue
        assert (change.type == "ADDED") == (before is None), f"{change} after {before}"
        assert change.value in ledger.issued, f"{change}: nobody asked for it"
        assert change.value not in values, f"{change}: written twice"
        values.add(change.value)
        states[change.name] = State(change.value, change.revision)
    assert states == final, "what was watched adds up to what is there"
    seen = {(change.name, change.revision): change.value for change in first if change.type != "DELETED"}
    assert ledger.told.items() <= seen.items(), "whatever was acknowledged was watched"
    assert set(ledger.deleted) <= gone, "whatever was deleted was seen going"
