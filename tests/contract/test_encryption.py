"""Stores that encrypt: what lies below is unreadable, keys come and go, what was not written there is not read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from k8slite.apiserver.storage.base import Compacted, FutureRevision, Store, StoreUnavailable, stamp
from k8slite.apiserver.storage.encryption.kms_protocol import MESSAGES, EncryptedObject
from k8slite.apiserver.storage.encryption.store import Encrypting
from k8slite.apiserver.storage.etcd import EtcdStore
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.storage.sqlite import SqliteStore
from k8slite.apiserver.watching.cache import WatchCache
from k8slite.config import ConfigError

from .encryption import IDENTITY, Plugin, keys, kms, secret, write
from .engines import NAMES, Engine, take

SECRET = "/core/secrets/ns/a"
OTHER = "/core/secrets/ns/b"
MAP = "/core/configmaps/ns/a"
LOCAL = ("aesgcm", "aescbc", "secretbox")
PLAIN = "in-plain-4711"


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "encryption.yaml"


@pytest.fixture(params=["memory", "sqlite", "etcd"])
def below(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """An engine without encryption; stores that share one place."""
    from .conftest import _make

    assert request.param in NAMES
    make = _make(request.param, request, tmp_path)
    shared = make() if request.param == "memory" else None
    return Engine(request.param, (lambda: shared) if shared is not None else make)  # type: ignore[arg-type, return-value]


# --- what lies below


@pytest.mark.parametrize("provider", LOCAL)
async def test_what_lies_below_is_unreadable(below: Engine, file: Path, provider: str) -> None:
    write(file, keys(provider, 1), IDENTITY)
    raw = below.make()
    async with opened(Encrypting(raw, file)) as store:
        made = await store.create(SECRET, secret("a", PLAIN))
        changed = await store.update(SECRET, secret("a", PLAIN + "2"), expected=made.revision)
        plain = await store.create(MAP, secret("a", PLAIN))
        stored = await raw.get(SECRET)
        assert stored is not None
        assert stored.value.startswith(f"k8s:enc:{provider}:v1:key1:".encode())
        assert PLAIN.encode() not in stored.value
        assert await raw.get(MAP) == plain
        assert await store.get(SECRET) == changed
        assert [record.value for record in (await store.range("/core/secrets/")).records] == [changed.value]
        assert b'"resourceVersion":"%d"' % changed.revision in changed.value


async def test_no_file_of_sqlite_holds_a_secret(tmp_path: Path, file: Path) -> None:
    write(file, keys("secretbox", 1))
    async with opened(Encrypting(SqliteStore(tmp_path / "store.db"), file)) as store:
        for index in range(50):
            made = await store.create(f"/core/secrets/ns/s{index}", secret(f"s{index}", PLAIN))
            await store.update(made.key, secret(f"s{index}", PLAIN), expected=made.revision)
            await store.create(f"/core/configmaps/ns/s{index}", secret(f"s{index}", "a-config-map"))
        found = [path for path in tmp_path.iterdir() if PLAIN.encode() in path.read_bytes()]
        seen = [path for path in tmp_path.iterdir() if b"a-config-map" in path.read_bytes()]
    assert (found, bool(seen)) == ([], True)
    assert [path for path in tmp_path.iterdir() if PLAIN.encode() in path.read_bytes()] == []


async def test_no_file_of_etcd_holds_a_secret(
    etcd_endpoint: str, tmp_path_factory: pytest.TempPathFactory, file: Path
) -> None:
    write(file, keys("secretbox", 1))
    text = "only-here-8c1d"
    async with opened(Encrypting(EtcdStore([etcd_endpoint], prefix="/files"), file)) as store:
        for index in range(50):
            await store.create(f"/core/secrets/ns/s{index}", secret(f"s{index}", text))
            await store.create(f"/core/configmaps/ns/s{index}", secret(f"s{index}", "a-map-of-etcd"))
    files = [path for path in tmp_path_factory.getbasetemp().rglob("*") if path.is_file() and "etcd" in str(path)]
    contents = [path.read_bytes() for path in files]
    assert any(b"a-map-of-etcd" in content for content in contents)
    assert not any(text.encode() in content for content in contents)


async def test_a_watch_reads_what_was_written(below: Engine, file: Path) -> None:
    write(file, keys("aesgcm", 1), IDENTITY)
    raw = below.make()
    async with opened(Encrypting(raw, file)) as store:
        start = await store.revision()
        made = await store.create(SECRET, secret("a", "1"))
        await store.create(MAP, secret("a", "m"))
        changed = await store.update(SECRET, secret("a", "2"), expected=made.revision)
        gone = await store.delete(SECRET, expected=changed.revision)
        for after in (start, made.revision):
            watch = store.watch("/core/secrets/", after=after)
            changes = await take(watch, 3 if after == start else 2)
            assert [(c.type, c.value, c.previous) for c in changes[-3:]] == [
                ("ADDED", made.value, None),
                ("MODIFIED", changed.value, made.value),
                ("DELETED", gone.value, changed.value),
            ][-len(changes) :]
            await watch.aclose()  # type: ignore[attr-defined]
        past = await store.range("/core/secrets/", revision=made.revision)
        assert [record.value for record in past.records] == [made.value]


# --- keys that come and go


@pytest.mark.parametrize("provider", LOCAL)
async def test_a_new_key_writes_and_the_old_one_still_reads(below: Engine, file: Path, provider: str) -> None:
    write(file, keys(provider, 1))
    raw = below.make()
    async with opened(Encrypting(raw, file)) as store:
        first = await store.create(SECRET, secret("a", "1"))
        second = await store.create(OTHER, secret("b", "1"))
        write(file, keys(provider, 2, 1))
        _reread(store, SECRET)
        assert await store.get(SECRET) == first
        fresh = await store.update(SECRET, secret("a", "2"), expected=first.revision)
        assert (await _form(raw, SECRET), await _form(raw, OTHER)) == (b"key2", b"key1")
        assert not store.stale(SECRET)  # type: ignore[attr-defined]
        assert store.stale(OTHER)  # type: ignore[attr-defined]
        assert [r.value for r in (await store.range("/core/secrets/")).records] == [fresh.value, second.value]


async def test_encryption_is_switched_on_and_off_again(below: Engine, file: Path) -> None:
    write(file, IDENTITY)
    raw = below.make()
    async with opened(Encrypting(raw, file)) as store:
        record = await store.create(SECRET, secret("a", "1"))
        assert not store.stale(SECRET)  # type: ignore[attr-defined]
        for providers, form in (([keys("aesgcm", 1), IDENTITY], b"key1"), ([IDENTITY, keys("aesgcm", 1)], b"")):
            write(file, *providers)
            _reread(store, SECRET)
            assert await store.get(SECRET) == record
            record = await store.update(SECRET, secret("a", "1"), expected=record.revision)
            assert await _form(raw, SECRET) == form
            assert not store.stale(SECRET)  # type: ignore[attr-defined]
            assert await store.get(SECRET) == record


async def test_a_restart_knows_what_is_stale(below: Engine, file: Path) -> None:
    raw = below.make()
    write(file, keys("aesgcm", 1))
    async with opened(raw):
        writer = Encrypting(raw, file)
        for key, name in ((SECRET, "a"), (OTHER, "b")):
            await writer.create(key, secret(name, "1"))
        write(file, keys("aesgcm", 2, 1))
        fresh = Encrypting(raw, file)
        records = (await fresh.range("/")).records
        assert [fresh.stale(record.key) for record in records if "secrets" in record.key] == [True, True]
        await fresh.update(SECRET, secret("a", "1"), expected=records[0].revision)
        assert [fresh.stale(SECRET), fresh.stale(OTHER)] == [False, True]


async def test_the_past_does_not_say_what_is_stale(below: Engine, file: Path) -> None:
    write(file, keys("aesgcm", 1))
    async with opened(Encrypting(below.make(), file)) as store:
        start = await store.revision()
        first = await store.create(SECRET, secret("a", "1"))
        write(file, keys("aesgcm", 2, 1))
        _reread(store, SECRET)
        await store.update(SECRET, secret("a", "2"), expected=first.revision)
        await store.range("/core/secrets/", revision=first.revision)
        await take(store.watch("/core/secrets/", after=start), 2)
        assert not store.stale(SECRET)  # type: ignore[attr-defined]


async def test_a_broken_file_changes_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(file, keys("aesgcm", 1))
    raw = MemoryStore()
    async with opened(Encrypting(raw, file)) as store:
        first = await store.create(SECRET, secret("a", "1"))
        for content in ("{", "kind: Other", ""):
            file.write_text(content)
            await _until(lambda: store.look() or "going on" in caplog.text)  # type: ignore[attr-defined]
            assert await store.get(SECRET) == first
            caplog.clear()
        file.unlink()
        second = await store.update(SECRET, secret("a", "2"), expected=first.revision)
        assert await _form(raw, SECRET) == b"key1"
        write(file, keys("aesgcm", 2, 1))
        _reread(store, SECRET)
        assert await store.get(SECRET) == second


async def test_a_key_that_was_taken_away_too_early_is_told_of(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write(file, keys("aesgcm", 1))
    raw = MemoryStore()
    async with opened(Encrypting(raw, file)) as store:
        first = await store.create(SECRET, secret("a", "1"))
        write(file, keys("aesgcm", 2))
        _reread(store, SECRET)
        assert "1 objects, /core/secrets/ns/a among them, are under keys" in caplog.text
        assert await store.get(SECRET) == first  # as long as the server runs
        await store.update(SECRET, secret("a", "2"), expected=first.revision)
    with pytest.raises(ConfigError):
        Encrypting(raw, file.with_name("none"))


@pytest.mark.parametrize("provider", LOCAL)
async def test_a_new_key_of_an_old_name_is_another_key(
    file: Path, caplog: pytest.LogCaptureFixture, provider: str
) -> None:
    old, new = keys(provider, 1), keys(provider, 2)
    new[provider]["keys"][0]["name"] = "key1"
    write(file, old, IDENTITY)
    raw = MemoryStore()
    async with opened(Encrypting(raw, file)) as store:
        first = await store.create(SECRET, secret("a", "1"))
        assert not store.stale(SECRET)
        write(file, new, old, IDENTITY)
        _reread(store, SECRET)
        assert store.stale(SECRET)  # so that writing it again takes it off the old key
        write(file, new, IDENTITY)
        _reread(store, SECRET)
        assert "1 objects, /core/secrets/ns/a among them, are under keys" in caplog.text
        await store.update(SECRET, secret("a", "1"), expected=first.revision)
        assert not store.stale(SECRET)
    fresh = Encrypting(raw, file)
    assert (await fresh.range("/")).records[0].key == SECRET


async def test_a_file_that_says_the_same_again_pushes_no_key_out(file: Path) -> None:
    write(file, keys("aesgcm", 1))
    async with opened(Encrypting(MemoryStore(), file)) as store:
        first = await store.create(SECRET, secret("a", "1"))
        write(file, keys("aesgcm", 2))
        _reread(store, SECRET)
        for _ in range(20):
            write(file, keys("aesgcm", 2))
            assert not store.look()
        assert await store.get(SECRET) == first


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"kind: 2026-99-99", b""])
async def test_a_file_that_is_no_text_is_a_mistake_like_others(
    file: Path, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    write(file, keys("aesgcm", 1))
    async with opened(Encrypting(MemoryStore(), file)) as store:
        file.write_bytes(text)
        assert not store.look()
        assert "going on with the encryption configuration as it was" in caplog.text
        await store.create(SECRET, secret("a", "1"))
    with pytest.raises(ConfigError, match="encryption configuration"):
        Encrypting(MemoryStore(), file)


# --- what is not read


@pytest.mark.parametrize("provider", LOCAL)
async def test_a_value_that_was_moved_is_not_read(below: Engine, file: Path, provider: str) -> None:
    write(file, keys(provider, 1))
    raw = below.make()
    async with opened(Encrypting(raw, file)) as store:
        await store.create(SECRET, secret("a", "1"))
        moved = await raw.get(SECRET)
        assert moved is not None
        await raw.create(OTHER, moved.value)
        with pytest.raises(StoreUnavailable, match=OTHER):
            await store.get(OTHER)
        with pytest.raises(StoreUnavailable, match=f"the value of {OTHER} cannot be read"):
            await store.range("/core/secrets/")
        assert await store.get(SECRET) is not None


@pytest.mark.parametrize("provider", ["aesgcm", "secretbox"])
async def test_a_value_that_was_tampered_with_is_not_read(below: Engine, file: Path, provider: str) -> None:
    write(file, keys(provider, 1))
    raw = below.make()
    async with opened(Encrypting(raw, file)) as store:
        made = await store.create(SECRET, secret("a", "1"))
        stored = await raw.get(SECRET)
        assert stored is not None
        broken = stored.value[:-1] + bytes([stored.value[-1] ^ 1])
        await raw.update(SECRET, broken, expected=made.revision)
        with pytest.raises(StoreUnavailable, match=r"/core/secrets/ns/a cannot be read.*authentication failed"):
            await store.get(SECRET)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (
            [keys("aesgcm", 1)],
            [keys("aesgcm", 2)],
            "no provider of the encryption configuration reads k8s:enc:aesgcm:v1:key1:",
        ),
        ([keys("aesgcm", 1)], [keys("aesgcm", 1, size=16)], "authentication failed"),
        ([keys("aesgcm", 1)], [IDENTITY], "identity transformer tried to read encrypted data|no provider"),
        ([IDENTITY], [keys("aesgcm", 1)], "it is not encrypted"),
    ],
)
async def test_nobody_starts_over_values_that_no_key_reads(
    below: Engine, file: Path, before: list[Any], after: list[Any], reason: str
) -> None:
    raw = below.make()
    async with opened(raw):
        write(file, *before)
        writer = Encrypting(raw, file)
        await writer.create(SECRET, secret("a", "1"))
        await writer.create(OTHER, secret("b", "1"))
        await writer.create(MAP, secret("a", "1"))
        with pytest.raises(StoreUnavailable, match=rf"{SECRET} cannot be read: .*({reason}).*\(and 1 more\)"):
            await Encrypting(raw, write(file, *after)).range("/")


async def test_without_a_configuration_encrypted_values_are_not_taken_for_documents(file: Path) -> None:
    raw = MemoryStore()
    write(file, keys("aesgcm", 1))
    async with opened(raw):
        await Encrypting(raw, file).create(SECRET, secret("a", "1"))
        with pytest.raises(StoreUnavailable, match=r"identity transformer tried to read|no provider"):
            await Encrypting(raw).range("/")


async def test_what_cannot_be_read_is_removed_if_that_is_wanted(tmp_path: Path, file: Path) -> None:
    write(file, keys("aesgcm", 1))
    async with opened(Encrypting(SqliteStore(tmp_path / "store.db"), file)) as store:
        await store.create(SECRET, secret("a", "1"))
        kept = await store.create(MAP, secret("a", "1"))
    write(file, keys("aesgcm", 2))
    async with opened(Encrypting(SqliteStore(tmp_path / "store.db"), file, drop_unreadable=True)) as store:
        assert (await store.range("/")).records == [kept]
    async with opened(Encrypting(SqliteStore(tmp_path / "store.db"), file)) as store:
        assert (await store.range("/")).records == [kept]


async def test_nothing_is_removed_because_a_plugin_is_ill(file: Path, tmp_path: Path) -> None:
    plugin, socket = Plugin(), tmp_path / "vault.sock"
    write(file, kms(socket), IDENTITY)
    below = tmp_path / "store.db"
    with plugin.serving(socket):
        async with opened(Encrypting(SqliteStore(below), file)) as store:
            await store.create(SECRET, secret("a", "1"))
        plugin.healthy = "sealed"
        store = Encrypting(SqliteStore(below), file, drop_unreadable=True)
        with pytest.raises(StoreUnavailable, match="nothing is removed: vault: got healthz 'sealed', expected ok"):
            await store.open()
        await store.close()
        plugin.healthy = "ok"
        async with opened(Encrypting(SqliteStore(below), file, drop_unreadable=True)) as store:
            assert await store.get(SECRET) is not None


async def test_a_past_that_cannot_be_read_is_compacted(below: Engine, file: Path) -> None:
    raw = below.make()
    async with opened(raw):
        write(file, keys("aesgcm", 1))
        writer = Encrypting(raw, file)
        start = await raw.revision()
        first = await writer.create(SECRET, secret("a", "1"))
        write(file, keys("aesgcm", 2))
        reader = Encrypting(raw, file)
        await reader.update(SECRET, secret("a", "2"), expected=first.revision)
        assert [record.key for record in (await reader.range("/core/")).records] == [SECRET]
        with pytest.raises(Compacted):
            await reader.range("/core/", revision=first.revision)
        with pytest.raises(Compacted):
            await take(reader.watch("/core/", after=start), 2)


async def test_a_key_that_comes_late_is_looked_for(below: Engine, file: Path, tmp_path: Path) -> None:
    """Another server writes with a key that this one reads in its file only now."""
    raw = below.make()
    async with opened(raw):
        write(file, keys("aesgcm", 1))
        here = Encrypting(raw, file)
        there = Encrypting(raw, write(tmp_path / "there.yaml", keys("aesgcm", 2)))
        start = await raw.revision()
        made = await there.create(SECRET, secret("a", "1"))
        with pytest.raises(StoreUnavailable):
            await here.get(SECRET)
        write(file, keys("aesgcm", 1, 2))
        assert await here.get(SECRET) == made
        [change] = await take(here.watch("/core/", after=start), 1)
        assert change.value == made.value


async def test_the_watch_cache_holds_plain_values(below: Engine, file: Path) -> None:
    write(file, keys("secretbox", 1))
    raw = below.make()
    async with opened(Encrypting(raw, file)) as store:
        before = await store.create(OTHER, secret("b", "1"))
        cache = WatchCache()
        await cache.start(store)
        made = await store.create(SECRET, secret("a", "1"))
        await cache.consistent()
        await cache.wait_for(made.revision, 20)
        secrets = cache.resource("", "secrets")
        assert [entry.value for entry in secrets.select()] == [made.value, before.value]
        assert [entry.revision for entry in secrets.select()] == [made.revision, before.revision]
        await cache.stop()


async def test_a_cache_goes_on_when_the_key_has_come(etcd_endpoint: str, file: Path, tmp_path: Path) -> None:
    def make() -> Store:
        return EtcdStore([etcd_endpoint], prefix="/late")

    write(file, keys("aesgcm", 1))
    elsewhere = write(tmp_path / "there.yaml", keys("aesgcm", 2, 1))
    async with opened(Encrypting(make(), file)) as here, opened(Encrypting(make(), elsewhere)) as there:
        cache = WatchCache()
        await cache.start(here)
        await there.create(SECRET, secret("a", "1"))
        later = await there.create(MAP, secret("a", "1"))
        with pytest.raises(FutureRevision):
            await cache.wait_for(later.revision, 0.3)
        write(file, keys("aesgcm", 1, 2))
        await cache.wait_for(later.revision, 20)
        assert [entry.name for entry in cache.resource("", "secrets").select()] == ["a"]
        await cache.stop()


# --- plugins


async def test_a_plugin_keeps_the_keys(below: Engine, file: Path, tmp_path: Path) -> None:
    plugin, socket = Plugin(), tmp_path / "kms.sock"
    raw = below.make()
    write(file, kms(socket), IDENTITY)
    with plugin.serving(socket):
        async with opened(Encrypting(raw, file)) as store:
            for index in range(20):
                await store.create(f"/core/secrets/ns/s{index}", secret(f"s{index}", PLAIN))
            assert plugin.calls == ["Status", "Encrypt"]
            page = await store.range("/core/secrets/")
            assert len(page.records) == 20
            assert plugin.calls == ["Status", "Encrypt"]
            stored = await raw.get("/core/secrets/ns/s0")
            assert stored is not None
            assert stored.value.startswith(b"k8s:enc:kms:v2:vault:")
            assert PLAIN.encode() not in stored.value
            assert await store.problems() == ""  # type: ignore[attr-defined]
            fresh = Encrypting(raw, file)
            assert (await fresh.range("/core/secrets/")).records == page.records
            assert plugin.calls.count("Decrypt") == 1


async def test_what_kubernetes_writes_with_a_plugin_is_read(file: Path, tmp_path: Path) -> None:
    plugin, socket = Plugin(), tmp_path / "kms.sock"
    write(file, kms(socket))
    raw, document, seed, info, nonce = MemoryStore(), secret("a", "1"), bytes([7]) * 32, bytes([8]) * 32, bytes(12)
    derived = HKDFExpand(SHA256(), 32, info).derive(seed)
    with plugin.serving(socket):
        made = plugin.encrypt(MESSAGES["EncryptRequest"](plaintext=seed), None)
        whole = {"key_id": made.key_id, "source": made.ciphertext, "annotations": dict(made.annotations)}
        sealed = {
            1: info + nonce + AESGCM(derived).encrypt(nonce, document, SECRET.encode()),
            0: nonce + AESGCM(seed).encrypt(nonce, document, SECRET.encode()),
        }
        async with opened(raw):
            for kind, data in sealed.items():
                envelope = EncryptedObject(data=data, source_type=kind, **whole).SerializeToString()
                there = await raw.get(SECRET)
                if there is not None:
                    await raw.delete(SECRET, expected=there.revision)
                await raw.create(SECRET, b"k8s:enc:kms:v2:vault:" + envelope)
                [record] = (await Encrypting(raw, file).range("/core/secrets/")).records
                assert record.value == stamp(document, record.revision)


async def test_a_plugin_changes_its_key(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8slite.apiserver.storage.encryption.kms._FRESH", 0.0)
    plugin, socket = Plugin(), tmp_path / "kms.sock"
    write(file, kms(socket))
    raw = MemoryStore()
    with plugin.serving(socket):
        async with opened(Encrypting(raw, file)) as store:
            first = await store.create(SECRET, secret("a", "1"))
            plugin.key_id = "two"
            await store.create(OTHER, secret("b", "1"))
            assert [store.stale(SECRET), store.stale(OTHER)] == [True, False]  # type: ignore[attr-defined]
            fresh = Encrypting(raw, file)
            assert {record.value for record in (await fresh.range("/")).records} >= {first.value}
            plugin.forget("one")
            with pytest.raises(StoreUnavailable, match="that key is gone"):
                await Encrypting(raw, file).range("/")


async def test_a_plugin_that_is_ill_or_gone(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8slite.apiserver.storage.encryption.kms._FRESH", 0.0)
    plugin, socket = Plugin(), tmp_path / "kms.sock"
    write(file, kms(socket), IDENTITY)
    raw = MemoryStore()
    async with opened(Encrypting(raw, file)) as store:
        with pytest.raises(StoreUnavailable, match="the KMS provider vault cannot encrypt"):
            await store.create(SECRET, secret("a", "1"))
        assert (await store.create(MAP, secret("a", "1"))).key == MAP
        with plugin.serving(socket):
            plugin.healthy = "sealed"
            async with asyncio.timeout(20):
                while "sealed" not in await store.problems():  # type: ignore[attr-defined]  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            with pytest.raises(StoreUnavailable, match="sealed"):
                await store.create(SECRET, secret("a", "1"))
            plugin.healthy = "ok"
            made = await store.create(SECRET, secret("a", "1"))
            plugin.healthy = "sealed"  # not for long enough to matter
            changed = await store.update(SECRET, secret("a", "2"), expected=made.revision)
        assert await store.get(SECRET) == changed
        monkeypatch.setattr("k8slite.apiserver.storage.encryption.kms._EXPIRY", 0.0)
        with pytest.raises(StoreUnavailable):
            await store.update(SECRET, secret("a", "3"), expected=changed.revision)


async def test_a_plugin_that_lost_a_key_is_asked_once_for_all_its_values(file: Path, tmp_path: Path) -> None:
    plugin, socket = Plugin(), tmp_path / "vault.sock"
    write(file, kms(socket), IDENTITY)
    raw = MemoryStore()
    with plugin.serving(socket):
        async with opened(raw):
            writer, reader = Encrypting(raw, file), Encrypting(raw, file)
            for name in "abcdef":
                await writer.create(f"/core/secrets/ns/{name}", secret(name, "1"))
            plugin.forget("one")
            plugin.calls.clear()
            with pytest.raises(StoreUnavailable, match=r"that key is gone \(and 5 more\)"):
                await reader.range("/")
            assert plugin.calls == ["Decrypt"]  # each call that comes late would hold up every request
            with pytest.raises(StoreUnavailable, match="that key is gone"):
                await reader.get("/core/secrets/ns/a")
            assert plugin.calls == ["Decrypt"] * 2


async def _form(raw: Store, key: str) -> bytes:
    """The name of the key that a value is under, empty if it is in plain."""
    stored = await raw.get(key)
    assert stored is not None
    return stored.value.split(b":")[4] if stored.value.startswith(b"k8s:enc:") else b""


async def _until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a file is looked at once a second
            await asyncio.sleep(0.01)


def _reread(store: Any, key: str) -> None:
    """Have the file read again; the server itself looks once a second."""
    assert store.look()
    assert store.stale(key)
