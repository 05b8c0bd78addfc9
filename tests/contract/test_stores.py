"""What every store promises, over every engine."""

import asyncio
import json
from pathlib import Path

import pytest

from k8slite.apiserver.storage.base import (
    Change,
    Compacted,
    FutureRevision,
    KeyExists,
    Overtaken,
    RevisionMismatch,
    Store,
    StoreUnavailable,
    Unless,
)
from k8slite.apiserver.storage.feed import Subscription
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.storage.sqlite import SqliteStore

from .engines import Engine, document, name_of, revision_of, take


async def test_create_gives_the_record_with_its_revision_in_the_document(store: Store) -> None:
    record = await store.create("/core/pods/a/x", document("x"))
    assert record.revision == revision_of(record.value) == await store.revision()
    assert await store.get("/core/pods/a/x") == record
    assert await store.get("/core/pods/a/y") is None


async def test_create_of_an_existing_key_is_refused(store: Store) -> None:
    await store.create("/core/pods/a/x", document("x"))
    with pytest.raises(KeyExists):
        await store.create("/core/pods/a/x", document("x"))


async def test_update_needs_the_current_revision(store: Store) -> None:
    first = await store.create("/core/pods/a/x", document("x"))
    second = await store.update("/core/pods/a/x", document("x2"), expected=first.revision)
    assert second.revision > first.revision
    with pytest.raises(RevisionMismatch) as caught:
        await store.update("/core/pods/a/x", document("x3"), expected=first.revision)
    assert caught.value.current == second
    with pytest.raises(RevisionMismatch) as caught:
        await store.update("/core/pods/a/absent", document("x3"), expected=first.revision)
    assert caught.value.current is None


async def test_a_write_can_be_bound_to_another_key(store: Store) -> None:
    never = Unless("/core/marks/absent", 0)
    made = await store.create("/core/pods/a/x", document("x"), unless=[never])
    mark = await store.create("/core/marks/m", document("m"))
    since, before = Unless("/core/marks/m", mark.revision), Unless("/core/marks/m", mark.revision - 1)
    with pytest.raises(Overtaken):
        await store.create("/core/pods/a/y", document("y"), unless=[never, before])
    with pytest.raises(Overtaken):
        await store.update("/core/pods/a/x", document("x2"), expected=made.revision, unless=[before])
    assert await store.get("/core/pods/a/y") is None
    assert await store.get("/core/pods/a/x") == made
    # What is wrong with the key itself comes first.
    with pytest.raises(KeyExists):
        await store.create("/core/pods/a/x", document("x"), unless=[before])
    with pytest.raises(RevisionMismatch) as caught:
        await store.update("/core/pods/a/x", document("x2"), expected=made.revision + 1, unless=[before])
    assert caught.value.current == made
    await store.create("/core/pods/a/y", document("y"), unless=[since])
    changed = await store.update("/core/pods/a/x", document("x2"), expected=made.revision, unless=[since, never])
    assert (await store.get("/core/pods/a/x")) == changed


async def test_a_mark_of_the_same_moment_counts(store: Store) -> None:
    mark = await store.create("/core/marks/m", document("m"))
    bound = [Unless("/core/marks/m", mark.revision)]
    outcomes = await asyncio.gather(
        store.create("/core/pods/a/before", document("before"), unless=bound),
        store.update("/core/marks/m", document("m2"), expected=mark.revision),
        store.create("/core/pods/a/after", document("after"), unless=bound),
        return_exceptions=True,
    )
    renewed = await store.get("/core/marks/m")
    assert renewed is not None
    for name, outcome in (("before", outcomes[0]), ("after", outcomes[2])):
        stored = await store.get(f"/core/pods/a/{name}")
        if isinstance(outcome, Overtaken):
            assert stored is None
        else:
            assert stored is not None and stored.revision < renewed.revision


async def test_delete_gives_the_last_document_with_the_revision_of_the_deletion(store: Store) -> None:
    first = await store.create("/core/pods/a/x", document("x"))
    with pytest.raises(RevisionMismatch):
        await store.delete("/core/pods/a/x", expected=first.revision + 1)
    gone = await store.delete("/core/pods/a/x", expected=first.revision)
    assert gone.revision > first.revision
    assert revision_of(gone.value) == gone.revision
    assert name_of(gone.value) == "x"
    assert await store.get("/core/pods/a/x") is None
    with pytest.raises(RevisionMismatch) as caught:
        await store.delete("/core/pods/a/x", expected=first.revision)
    assert caught.value.current is None


async def test_a_write_may_be_bound_to_what_must_still_be_there(store: Store) -> None:
    lock = await store.create("/core/locks/a", document("a"))
    bound = [Unless(lock.key, lock.revision, gone=True)]
    made = await store.create("/core/pods/a/x", document("x"), unless=bound)
    await store.delete(lock.key, expected=lock.revision)
    with pytest.raises(Overtaken):
        await store.create("/core/pods/a/y", document("y"), unless=bound)
    with pytest.raises(Overtaken):
        await store.update(made.key, document("x2"), expected=made.revision, unless=bound)
    again = await store.create(lock.key, document("b"))
    with pytest.raises(Overtaken):
        await store.update(made.key, document("x2"), expected=made.revision, unless=bound)
    bound = [Unless(lock.key, again.revision, gone=True)]
    assert (await store.update(made.key, document("x2"), expected=made.revision, unless=bound)).revision > made.revision


async def test_a_deleted_key_can_be_created_again(store: Store) -> None:
    first = await store.create("/core/pods/a/x", document("x"))
    gone = await store.delete("/core/pods/a/x", expected=first.revision)
    again = await store.create("/core/pods/a/x", document("x"))
    assert again.revision > gone.revision


async def test_ranges_are_in_key_order_and_stay_below_their_prefix(store: Store) -> None:
    for key in ("/core/pods/b/1", "/core/pods/a/2", "/core/pods/a-b/1", "/core/podsx/a/1", "/core/pods/a/1"):
        await store.create(key, document("x"))
    page = await store.range("/core/pods/")
    assert [r.key for r in page.records] == ["/core/pods/a-b/1", "/core/pods/a/1", "/core/pods/a/2", "/core/pods/b/1"]
    assert page.remaining == 0
    assert page.revision == await store.revision()
    assert [r.key for r in (await store.range("/core/pods/a/")).records] == ["/core/pods/a/1", "/core/pods/a/2"]
    assert (await store.range("/apps/")).records == []


async def test_pages_of_one_revision_are_one_consistent_list(store: Store) -> None:
    records = [await store.create(f"/core/pods/a/{i:02}", document(f"{i:02}")) for i in range(10)]
    first = await store.range("/core/pods/", limit=4)
    assert (len(first.records), first.remaining) == (4, 6)
    await store.delete("/core/pods/a/05", expected=records[5].revision)
    await store.update("/core/pods/a/06", document("changed"), expected=records[6].revision)
    await store.create("/core/pods/a/055", document("new"))
    second = await store.range("/core/pods/", after=first.records[-1].key, limit=4, revision=first.revision)
    assert (second.remaining, second.revision) == (2, first.revision)
    third = await store.range("/core/pods/", after=second.records[-1].key, limit=4, revision=first.revision)
    assert third.remaining == 0
    assert first.records + second.records + third.records == records


async def test_range_at_an_old_revision_shows_what_was_there(store: Store) -> None:
    a = await store.create("/core/pods/a/x", document("x"))
    b = await store.update("/core/pods/a/x", document("y"), expected=a.revision)
    c = await store.delete("/core/pods/a/x", expected=b.revision)
    d = await store.create("/core/pods/a/z", document("z"))
    assert (await store.range("/core/", revision=a.revision)).records == [a]
    assert (await store.range("/core/", revision=b.revision)).records == [b]
    assert (await store.range("/core/", revision=c.revision)).records == []
    assert (await store.range("/core/", revision=d.revision)).records == [d]


async def test_a_future_revision_is_refused(store: Store) -> None:
    await store.create("/core/pods/a/x", document("x"))
    with pytest.raises(FutureRevision):
        await store.range("/core/", revision=await store.revision() + 100)


async def test_compaction_forgets_history_and_keeps_what_is_there(store: Store) -> None:
    a = await store.create("/core/pods/a/x", document("x"))
    b = await store.update("/core/pods/a/x", document("y"), expected=a.revision)
    gone = await store.create("/core/pods/a/gone", document("gone"))
    await store.delete("/core/pods/a/gone", expected=gone.revision)
    c = await store.create("/core/pods/a/z", document("z"))
    await store.compact(c.revision)
    with pytest.raises(Compacted) as caught:
        await store.range("/core/", revision=a.revision)
    assert caught.value.oldest == c.revision
    with pytest.raises(Compacted) as caught:
        await anext(store.watch("/core/", after=a.revision))
    assert caught.value.oldest == c.revision
    assert (await store.range("/core/", revision=c.revision)).records == [b, c]
    d = await store.update("/core/pods/a/x", document("w"), expected=b.revision)
    changes = await take(store.watch("/core/", after=c.revision), 1)
    assert changes == [Change("MODIFIED", d.key, d.value, d.revision, b.value)]
    assert (await store.range("/core/", revision=c.revision)).records == [b, c]


async def test_watch_gives_every_kind_of_change_with_the_value_before(store: Store) -> None:
    start = await store.revision()
    watch = store.watch("/core/pods/", after=start)
    a = await store.create("/core/pods/a/x", document("x"))
    await store.create("/core/secrets/a/x", document("x"))
    b = await store.update("/core/pods/a/x", document("y"), expected=a.revision)
    c = await store.delete("/core/pods/a/x", expected=b.revision)
    d = await store.create("/core/pods/a/x", document("z"))
    expected = [
        Change("ADDED", a.key, a.value, a.revision, None),
        Change("MODIFIED", a.key, b.value, b.revision, a.value),
        Change("DELETED", a.key, c.value, c.revision, b.value),
        Change("ADDED", a.key, d.value, d.revision, None),
    ]
    assert await take(watch, 4) == expected
    assert await take(store.watch("/core/pods/", after=start), 4) == expected  # the same again, all of it history


async def test_watch_resumes_from_any_revision_without_gap_or_repeat(store: Store) -> None:
    start = await store.revision()
    records = [await store.create(f"/core/pods/a/{i:03}", document(str(i))) for i in range(30)]
    for index in (0, 7, 28):
        watch = store.watch("/core/pods/", after=records[index].revision)
        later = await store.create(f"/core/pods/b/{index}", document("later"))
        changes = await take(watch, len(records) - index)
        assert [c.revision for c in changes] == [r.revision for r in records[index + 1 :]] + [later.revision]
        records.append(later)
    assert records[0].revision > start


async def test_many_writers_and_watchers_see_one_order(store: Store) -> None:
    start = await store.revision()
    watches = [store.watch("/core/", after=start) for _ in range(5)]

    async def write(writer: int) -> None:
        for index in range(20):
            record = await store.create(f"/core/pods/{writer}/{index}", document("x"))
            record = await store.update(record.key, document("y"), expected=record.revision)
            await store.delete(record.key, expected=record.revision)

    seen, *_ = await asyncio.gather(
        asyncio.gather(*(take(watch, 20 * 20 * 3) for watch in watches)), *(write(writer) for writer in range(20))
    )
    revisions = [change.revision for change in seen[0]]
    assert revisions == sorted(set(revisions))
    assert all(other == seen[0] for other in seen)


async def test_a_hundred_clients_count_without_losing_one(store: Store) -> None:
    def counter(number: int) -> bytes:
        return document("counter", count=number)

    record = await store.create("/core/configmaps/a/counter", counter(0))

    async def increment() -> None:
        for _ in range(3):
            current = record
            while True:
                count = json.loads(current.value)["count"]
                try:
                    await store.update(current.key, counter(count + 1), expected=current.revision)
                    break
                except RevisionMismatch as mismatch:
                    assert mismatch.current is not None
                    current = mismatch.current

    await asyncio.gather(*(increment() for _ in range(100)))
    final = await store.get(record.key)
    assert final is not None
    assert json.loads(final.value)["count"] == 300


async def test_big_values_come_back_whole(store: Store) -> None:
    watch = store.watch("/core/secrets/", after=await store.revision())
    record = await store.create("/core/secrets/a/big", document("big", data="x" * 1_500_000))
    assert len(record.value) > 1_500_000
    assert await store.get(record.key) == record
    [change] = await take(watch, 1)
    assert change.value == record.value


async def test_a_cancelled_writer_does_not_disturb_the_others(store: Store) -> None:
    tasks = [asyncio.create_task(store.create(f"/core/pods/a/{i}", document(str(i)))) for i in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[3], asyncio.CancelledError)
    assert len({r.revision for r in results if not isinstance(r, BaseException)}) == 9


async def test_closing_ends_watches_and_refuses_writes(engine: Engine) -> None:
    store = engine.make()
    await store.open()
    watch = store.watch("/core/", after=await store.revision())
    waiting = asyncio.ensure_future(anext(watch, None))
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.wait_for(waiting, 5) is None
    with pytest.raises(StoreUnavailable):
        await store.create("/core/pods/a/x", document("x"))


async def test_everything_is_there_after_a_restart(lasting: Engine) -> None:
    store = lasting.make()
    await store.open()
    start = await store.revision()
    a = await store.create("/core/pods/a/x", document("x"))
    b = await store.update("/core/pods/a/x", document("y"), expected=a.revision)
    c = await store.create("/core/pods/a/z", document("z"))
    d = await store.delete("/core/pods/a/z", expected=c.revision)
    await store.close()
    store = lasting.make()
    await store.open()
    assert await store.revision() == d.revision
    assert (await store.range("/")).records == [b]
    watch = store.watch("/core/", after=a.revision)
    e = await store.create("/core/pods/a/w", document("w"))
    assert [c.revision for c in await take(watch, 4)] == [b.revision, c.revision, d.revision, e.revision]
    assert (await store.range("/", revision=a.revision)).records == [a]
    assert start < a.revision
    await store.close()


@pytest.mark.parametrize("name", ["memory", "sqlite"])
async def test_a_reader_that_lags_misses_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subscription, "LIMIT", 5)
    store = MemoryStore() if name == "memory" else SqliteStore(tmp_path / "store.db")
    await store.open()
    watch = store.watch("/core/", after=0)
    await asyncio.gather(take(watch, 1), store.create("/core/pods/a/x", document("x")))
    records = [await store.create(f"/core/pods/a/{number}", document("x")) for number in range(33)]
    changes = await take(watch, 33)
    assert [change.revision for change in changes] == [record.revision for record in records]
    later = await store.create("/core/pods/a/later", document("x"))
    assert [change.revision for change in await take(watch, 1)] == [later.revision]
    await store.close()
