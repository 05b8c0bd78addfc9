"""A store over another one, whose values it encrypts and decrypts on their way.

Which, the EncryptionConfiguration says; every other value passes as it is. The engine below sees encrypted values, so
the revision is filled in here, once they are in plain.

The file is looked at again when something is written, at most once a second, and when a value comes that nobody can
read: after a rotation no server has to be started anew. A key that the file no longer has is good for reading until the
server ends. Values that no key reads are no small matter: what the server did not see it would take for deleted, so it
does not start, or follows no further, until the file has their key again. Only past states that cannot be read are
taken for compacted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from k8slite.config import ConfigError

from ..base import Change, Compacted, Page, Record, RevisionMismatch, Store, StoreUnavailable, Unless, stamp
from ..feed import Batch, Embedded, Follower, reached
from .configuration import EncryptionConfiguration, load
from .kms import KmsProvider
from .providers import MAGIC, Unreadable
from .table import Providers, Table

PERIOD = 1.0
"""Seconds between looks at the file."""
_FORMER = 8
"""So many former states of the file are still read by."""
_log = logging.getLogger(__name__)


class Encrypting:
    """A `Store` over `store`. Raises ConfigError if there is something wrong with the file.

    With `drop_unreadable` what no key reads is removed when the store is opened.
    """

    def __init__(self, store: Store, file: Path | None = None, *, drop_unreadable: bool = False) -> None:
        self._store = store
        self._file = file
        self._drop = drop_unreadable
        self._looked = time.monotonic()
        self._signature = _signature(file)
        self._configuration = load(file) if file is not None else None
        self._table = Table(self._configuration, known={})
        self._former: list[Table] = []
        self._forms: dict[str, bytes] = {}
        """Of what is stored encrypted: under which key."""
        self._sealed: dict[bytes, tuple[str, bytes, bytes]] = {}
        """What is being written: key, plain value and form by the encrypted one."""
        self._told = ""
        self.revision = store.revision
        self.compact = store.compact
        self.progress = getattr(store, "progress", None)
        if hasattr(store, "follow"):
            self.follow = self._follow

    # --- opening and closing

    async def open(self) -> None:
        """Open the store below. Raises StoreUnavailable, too where a plugin that is away made everything unreadable."""
        await self._store.open()
        problems = [f"{plugin.name}: {problem}" for plugin in self._plugins() if (problem := await plugin.check())]
        if self._drop and problems:
            raise StoreUnavailable(f"nothing is removed: {'; '.join(problems)}")
        if self._drop:
            await self._drop_unreadable()

    async def close(self) -> None:
        """Close the store below."""
        await self._store.close()
        for table in (self._table, *self._former):
            for plugin in table.plugins.values():
                plugin.close()

    async def _drop_unreadable(self) -> None:
        page = await self._store.range("/")
        await self._learn(page.records)
        for record in page.records:
            try:
                self._plain(record.key, record.value)
            except StoreUnavailable as problem:
                _log.warning("removing what cannot be read: %s", problem)
                await self._store.delete(record.key, expected=record.revision)

    @property
    def has_plugins(self) -> bool:
        """Whether plugins hold keys."""
        return bool(self._table.plugins)

    async def problems(self) -> str:
        """What is wrong with the plugins; empty if nothing is."""
        found = []
        for plugin in self._plugins():
            try:
                await plugin.ready()
            except StoreUnavailable:
                found.append(f"{plugin.name}: {plugin.problem}")
        return "; ".join(found)

    def _plugins(self) -> Iterable[KmsProvider]:
        return self._table.plugins.values()

    def stale(self, key: str) -> bool:
        """Whether the value of a key is not stored as it would be now: a write that changes nothing is worth while."""
        self._look()
        providers = self._table.of(key)
        return self._forms.get(key, b"") != providers.writer.form

    # --- writing

    def create(self, key: str, value: bytes, *, unless: Sequence[Unless] = ()) -> Coroutine[Any, Any, Record]:
        """Write a key that must be absent. Raises KeyExists, Overtaken."""
        providers = self._writers(key)
        if not providers:
            return self._store.create(key, value, unless=unless)
        return self._create(providers, key, value, unless)

    async def _create(self, providers: Providers, key: str, value: bytes, unless: Sequence[Unless]) -> Record:
        await providers.writer.ready()
        with self._sealing(providers, key, value) as sealed:
            record = await self._store.create(key, sealed, unless=unless)
        return self._written(providers, key, value, record)

    async def update(self, key: str, value: bytes, *, expected: int, unless: Sequence[Unless] = ()) -> Record:
        """Replace a value at an expected revision. Raises RevisionMismatch, Overtaken."""
        providers = self._writers(key)
        try:
            if providers is None:
                record = await self._store.update(key, value, expected=expected, unless=unless)
                self._forms.pop(key, None)
                return record
            await providers.writer.ready()
            with self._sealing(providers, key, value) as sealed:
                record = await self._store.update(key, sealed, expected=expected, unless=unless)
        except RevisionMismatch as mismatch:
            raise RevisionMismatch(await self._read(mismatch.current)) from None
        return self._written(providers, key, value, record)

    @contextmanager
    def _sealing(self, providers: Providers, key: str, value: bytes) -> Iterator[bytes]:
        """The encrypted value, which need not be decrypted when the store tells of the write within the block."""
        sealed = providers.writer.encrypt(value, key.encode())
        self._sealed[sealed] = key, value, providers.writer.form
        try:
            yield sealed
        finally:
            self._sealed.pop(sealed, None)

    def _written(self, providers: Providers, key: str, value: bytes, record: Record) -> Record:
        self._forms[key] = providers.writer.form
        return Record(key, stamp(value, record.revision), record.revision)

    async def delete(self, key: str, *, expected: int) -> Record:
        """Remove a key at an expected revision. Raises RevisionMismatch."""
        try:
            record = await self._store.delete(key, expected=expected)
        except RevisionMismatch as mismatch:
            raise RevisionMismatch(await self._read(mismatch.current)) from None
        [read] = await self._readable([record])
        self._forms.pop(key, None)
        return read

    def _writers(self, key: str) -> Providers | None:
        """The providers of a key, None if it is written in plain."""
        self._look()
        providers = self._table.of(key)
        return providers if providers.encrypts else None

    # --- reading

    async def get(self, key: str) -> Record | None:
        """A key's record. Raises StoreUnavailable if its value cannot be read."""
        return await self._read(await self._store.get(key))

    async def _read(self, record: Record | None) -> Record | None:
        return (await self._readable([record]))[0] if record is not None else None

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys below a prefix. Raises StoreUnavailable if one of their values cannot be read."""
        page = await self._store.range(prefix, after=after, limit=limit, revision=revision)
        try:
            records = await self._readable(page.records, now=not revision)
        except StoreUnavailable as problem:
            if revision:
                raise Compacted(await self._store.revision()) from problem
            raise
        return Page(records, page.revision, page.remaining)

    async def _readable(self, records: list[Record], *, now: bool = True) -> list[Record]:
        """Records in plain; `now` says that they are the present ones. Raises StoreUnavailable for what is not."""
        if not self._table.strict and not any(record.value.startswith(MAGIC) for record in records):
            return records
        await self._learn(records)
        found, problems = self._all_plain(records, now=now)
        if problems and self._look(now=True):
            await self._learn(records)
            found, problems = self._all_plain(records, now=now)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise self._unreadable(f"{problems[0]}{more}")
        return found

    def _all_plain(self, records: list[Record], *, now: bool) -> tuple[list[Record], list[StoreUnavailable]]:
        found: list[Record] = []
        problems: list[StoreUnavailable] = []
        for record in records:
            try:
                plain, form = self._plain(record.key, record.value)
            except StoreUnavailable as problem:
                problems.append(problem)
                continue
            if now:
                self._note(record.key, form)
            found.append(Record(record.key, stamp(plain, record.revision), record.revision) if form else record)
        return found, problems

    def _unreadable(self, text: str) -> StoreUnavailable:
        if text != self._told:
            self._told = text
            _log.error("%s", text)
        return StoreUnavailable(text)

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[list[Change]]:
        """Every change after a revision. Raises Compacted."""
        return _Reading(self, self._store.watch(prefix, after=after), live=prefix in ("", "/"))

    def _follow(self, follower: Follower) -> Callable[[], None]:
        def take(batch: Batch) -> None:
            changes = [self.change(change, live=True) for change in batch]
            follower(batch if changes == batch else Batch(changes, reached(batch)))

        return cast(Embedded, self._store).follow(take)

    async def learn(self, batch: list[Change]) -> None:
        """Have what it takes to read changes."""
        values = [Record(change.key, change.value, change.revision) for change in batch]
        values += [Record(change.key, change.previous, 0) for change in batch if change.previous is not None]
        await self._learn(values)

    async def _learn(self, records: list[Record]) -> None:
        for table in (self._table, *self._former):
            for plugin in table.plugins.values():
                values = [record.value for record in records if record.value.startswith(plugin.prefix)]
                if values:
                    await plugin.learn(values)

    def change(self, change: Change, *, live: bool) -> Change:
        """A change in plain; `live` says that it was made just now. Raises StoreUnavailable."""
        key, value, previous = change.key, change.value, change.previous
        encrypted = value.startswith(MAGIC) or (previous is not None and previous.startswith(MAGIC))
        if not encrypted and not self._table.strict:
            return change
        plain, form = self._plain(key, value)
        if live:
            self._note(key, b"" if change.type == "DELETED" else form)
        if form:
            value = stamp(plain, change.revision)
        if previous is not None:
            plain, form = self._plain(key, previous)
            previous = stamp(plain, change.previous_revision) if form else previous
        return Change(change.type, key, value, change.revision, previous, change.previous_revision)

    def _note(self, key: str, form: bytes) -> None:
        if form:
            self._forms[key] = form
        elif self._forms:
            self._forms.pop(key, None)

    def _plain(self, key: str, value: bytes) -> tuple[bytes, bytes]:
        """A stored value in plain, without its revision if it was encrypted, and its form. Raises StoreUnavailable."""
        own = self._sealed.get(value)
        if own is not None and own[0] == key:
            return own[1:]
        place = key.encode()
        try:
            return self._table.of(key).decrypt(value, place)
        except Unreadable as problem:
            return self._plain_as_before(key, value, place, problem)

    def _plain_as_before(self, key: str, value: bytes, place: bytes, problem: Unreadable) -> tuple[bytes, bytes]:
        for table in self._former:
            try:
                return table.of(key).decrypt(value, place)
            except Unreadable:
                continue
        raise StoreUnavailable(f"the value of {key} cannot be read: {problem}")

    # --- the file

    def look(self) -> bool:
        """Read the file again if it has changed; whether there is something new."""
        return self._look(now=True)

    def _look(self, *, now: bool = False) -> bool:
        if self._file is None or (not now and time.monotonic() - self._looked < PERIOD):
            return False
        self._looked = time.monotonic()
        signature = _signature(self._file)
        if signature == self._signature:
            return False
        self._signature = signature
        try:
            configuration = load(self._file)
        except ConfigError as error:
            _log.error("going on with the encryption configuration as it was: %s", error)
            return False
        if configuration == self._configuration:
            return False  # no new state, which would push the keys of an old one out
        self._adopt(configuration)
        return True

    def _adopt(self, configuration: EncryptionConfiguration) -> None:
        table = Table(configuration, known=self._table.plugins)
        self._former = [self._table, *self._former][:_FORMER]
        self._table, self._configuration = table, configuration
        _log.info("read the encryption configuration %s again", self._file)
        left = [key for key, form in self._forms.items() if not table.reads(form)]
        if left:
            _log.warning(
                "%d objects, %s among them, are under keys that the encryption configuration no longer has: without"
                " them the server will not start again",
                len(left),
                left[0],
            )


class _Reading:
    """A watch in plain."""

    def __init__(self, store: Encrypting, changes: AsyncIterator[list[Change]], *, live: bool) -> None:
        self._store = store
        self._changes = changes
        self._live = live

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> list[Change]:
        batch = await anext(self._changes)
        try:
            return await self._plain(batch)
        except StoreUnavailable as problem:
            if not self._store.look():
                raise await self._lost(batch, problem) from problem
        try:
            return await self._plain(batch)
        except StoreUnavailable as problem:
            raise await self._lost(batch, problem) from problem

    async def _plain(self, batch: list[Change]) -> list[Change]:
        await self._store.learn(batch)
        changes = [self._store.change(change, live=self._live) for change in batch]
        return Batch(changes, reached(batch)) if isinstance(batch, Batch) else changes

    async def _lost(self, batch: list[Change], problem: StoreUnavailable) -> Compacted:
        _log.error("a watch ends: %s", problem)
        await self.aclose()
        return Compacted(reached(batch) + 1)

    async def aclose(self) -> None:
        """End the iteration."""
        await cast(Any, self._changes).aclose()


def _signature(file: Path | None) -> tuple[int, ...]:
    """What changes when a file does."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else ()
