"""What the etcd store promises beyond the contract: TLS, failover, several API servers, the watch cache over it."""

import asyncio
import datetime
import ipaddress
import itertools
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from k8slite.apiserver.storage.base import Compacted, StoreError, StoreUnavailable
from k8slite.apiserver.storage.etcd import EtcdStore
from k8slite.apiserver.storage.etcd.compaction import Compaction
from k8slite.apiserver.storage.etcd.connection import Connection
from k8slite.apiserver.storage.etcd.protocol import RangeRequest
from k8slite.apiserver.watching.cache import WatchCache
from k8slite.apiserver.watching.events import Shown
from k8slite.apiserver.watching.settled import settled
from k8slite.apiserver.watching.watch import WatchStream
from k8slite.clock import VirtualClock

from .engines import document, take
from .etcd_server import etcd


def write_certificates(directory: Path) -> None:
    """A CA, and one certificate of it for 127.0.0.1 that serves and asks."""
    now = datetime.datetime.now(datetime.UTC)
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-ca")])
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )

    ca = builder(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")]), key.public_key())
    pem = serialization.Encoding.PEM
    (directory / "ca.crt").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (directory / "peer.crt").write_bytes(
        leaf.add_extension(address, critical=False).sign(ca_key, hashes.SHA256()).public_bytes(pem)
    )
    (directory / "peer.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


async def test_mutual_tls(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    ca, certificate, key = tmp_path / "ca.crt", tmp_path / "peer.crt", tmp_path / "peer.key"
    flags = (
        "--client-cert-auth",
        "--trusted-ca-file",
        str(ca),
        "--cert-file",
        str(certificate),
        "--key-file",
        str(key),
    )
    with etcd(tmp_path, scheme="https", flags=tuple(flags)) as [server]:
        store = EtcdStore([server.endpoint], ca_file=ca, cert_file=certificate, key_file=key)
        await store.open()
        record = await store.create("/core/pods/a/x", document("x"))
        assert await store.get(record.key) == record
        stranger = Connection([server.endpoint], ca_file=ca)
        with pytest.raises(StoreUnavailable):
            await stranger.read("Range", RangeRequest(key=b"/k8slite/core/pods/a/x"))
        await stranger.close()
        await store.close()


async def test_a_cluster_goes_on_when_a_server_dies(tmp_path: Path) -> None:
    with etcd(tmp_path, members=3) as servers:
        store = EtcdStore([server.endpoint for server in servers])
        await store.open()
        watch = store.watch("/core/", after=await store.revision())
        record = await store.create("/core/counters/a/x", document("0"))
        first = await take(watch, 1)
        servers[0].kill()
        updates = 0
        async with asyncio.timeout(30):
            while updates < 20:
                try:
                    record = await store.update(record.key, document("x"), expected=record.revision)
                except StoreUnavailable:  # unknown outcome while the cluster elects: read what is there
                    await asyncio.sleep(0.05)
                    try:
                        found = await store.get(record.key)
                    except StoreUnavailable:
                        continue
                    assert found is not None
                    record = found
                else:
                    updates += 1
        changes = [first[0]]
        async with asyncio.timeout(20):
            while changes[-1].revision < record.revision:
                changes += await anext(watch)
        for before, after in itertools.pairwise(changes):
            assert after.previous == before.value
        await store.close()


async def test_a_watch_goes_on_after_its_server_was_killed_and_came_back(tmp_path: Path) -> None:
    with etcd(tmp_path) as [server]:
        store = EtcdStore([server.endpoint])
        await store.open()
        watch = store.watch("/core/", after=await store.revision())
        before = await store.create("/core/pods/a/before", document("before"))
        assert [change.revision for change in await take(watch, 1)] == [before.revision]
        server.kill()
        reading = asyncio.ensure_future(take(watch, 1))
        server.start()
        async with asyncio.timeout(20):
            while True:
                try:
                    await store.revision()
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
        after = await store.create("/core/pods/a/after", document("after"))
        assert [change.revision for change in await reading] == [after.revision]
        await store.close()


async def test_without_a_server_nothing_is_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with etcd(tmp_path) as [server]:
        store = EtcdStore([server.endpoint])
        await store.open()
        record = await store.create("/core/pods/a/x", document("x"))
        server.kill()
        with pytest.raises(StoreUnavailable):
            await store.update(record.key, document("y"), expected=record.revision)
        with pytest.raises(StoreUnavailable):
            await store.get(record.key)
        await store.close()
        monkeypatch.setattr("k8slite.apiserver.storage.etcd.store.PATIENCE", 0.2)
        with pytest.raises(StoreUnavailable):
            await EtcdStore([server.endpoint]).open()


async def test_a_value_beyond_etcds_limit_is_refused_for_good(etcd_endpoint: str) -> None:
    store = EtcdStore([etcd_endpoint], prefix="/limit")
    await store.open()
    with pytest.raises(StoreError) as caught:
        await store.create("/core/pods/a/x", document("x", data="x" * 2_000_000))
    assert not isinstance(caught.value, StoreUnavailable)
    with pytest.raises(StoreError):
        await store.create("/core/pods/a/x", document("x", data="x" * 4_000_000))
    await store.close()


async def test_large_ranges_are_read_in_pieces_of_one_revision(
    etcd_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8slite.apiserver.storage.etcd.store.PAGE", 7)
    store = EtcdStore([etcd_endpoint], prefix="/pages")
    await store.open()
    records = [await store.create(f"/core/pods/a/{number:03}", document("x")) for number in range(30)]
    assert (await store.range("/core/")).records == records
    page = await store.range("/core/", limit=16)
    assert (page.records, page.remaining) == (records[:16], 14)
    await store.close()


async def test_one_of_several_servers_compacts(etcd_endpoint: str) -> None:
    store = EtcdStore([etcd_endpoint], prefix="/compaction")
    await store.open()
    connections = [Connection([etcd_endpoint]) for _ in range(3)]
    rounds = [
        Compaction(connection, record=b"/compaction.test", period=300, clock=VirtualClock())
        for connection in connections
    ]
    first = await store.create("/core/pods/a/x", document("x"))
    await asyncio.gather(*(one.round() for one in rounds))
    second = await store.update(first.key, document("y"), expected=first.revision)
    assert (await store.range("/core/", revision=first.revision)).records == [first]  # the first round only takes note
    await asyncio.gather(*(one.round() for one in rounds))
    with pytest.raises(Compacted):
        await store.range("/core/", revision=first.revision)
    assert (await store.range("/core/", revision=second.revision)).records == [second]
    before = await store.revision()
    await asyncio.gather(*(one.round() for one in rounds))
    await asyncio.gather(*(one.round() for one in rounds))
    settled = await store.revision()
    await asyncio.gather(*(one.round() for one in rounds))
    assert await store.revision() == settled <= before + 2  # nothing was written, so nothing is
    for connection in connections:
        await connection.close()
    await store.close()


async def test_two_caches_over_one_etcd_agree(etcd_endpoint: str) -> None:
    stores = [EtcdStore([etcd_endpoint], prefix="/shared") for _ in range(2)]
    stranger = EtcdStore([etcd_endpoint], prefix="/stranger")
    caches = [WatchCache(), WatchCache()]
    for store in (*stores, stranger):
        await store.open()
    before = await stores[0].create("/core/pods/a/before", document("before"))
    for cache, store in zip(caches, stores, strict=True):
        await cache.start(store)
    record = await stores[0].create("/core/pods/a/x", document("x"))
    await caches[0].wait_for(record.revision, 5)
    await caches[1].consistent()
    for cache in caches:
        assert [e.value for e in cache.resource("", "pods").select()] == [before.value, record.value]
    await stranger.create("/core/pods/a/y", document("y"))  # moves etcd's revision, but not ours
    await asyncio.gather(*(caches[1].consistent() for _ in range(10)))
    assert len(caches[1].resource("", "pods").select()) == 2
    for cache, store in zip(caches, stores, strict=True):
        await cache.stop()
        await store.close()
    await stranger.close()


async def test_a_settled_store_answers_when_the_cache_has_seen_the_write(etcd_endpoint: str) -> None:
    cache = WatchCache()
    store = settled(EtcdStore([etcd_endpoint], prefix="/settled"), cache)
    await store.open()
    await cache.start(store)
    pods = cache.resource("", "pods")
    for number in range(20):
        record = await store.create(f"/core/pods/a/{number}", document("x"))
        record = await store.update(record.key, document("y"), expected=record.revision)
        entry = pods.get("a", f"{number}")
        assert entry is not None
        assert entry.value == record.value
        await store.delete(record.key, expected=record.revision)
        assert pods.get("a", f"{number}") is None
    await cache.stop()
    await store.close()


async def test_a_cache_that_missed_compacted_changes_lists_again(tmp_path: Path) -> None:
    with etcd(tmp_path) as [server]:
        store, other = EtcdStore([server.endpoint]), EtcdStore([server.endpoint])
        await store.open()
        await other.open()
        record = await other.create("/core/pods/a/x", document("x"))
        cache = WatchCache()
        await cache.start(store)
        following = cache._follower
        assert following is not None
        lines = WatchStream(cache.resource("", "pods").watch(after=record.revision), Shown("Pod", "v1"), timeout=60)
        reading = asyncio.ensure_future(anext(lines, b"the end"))
        following.cancel()
        await asyncio.wait([following])
        for _ in range(5):
            record = await other.update(record.key, document("y"), expected=record.revision)
        gone = await other.delete(record.key, expected=record.revision)
        await other.compact(gone.revision)
        cache._follower = asyncio.create_task(cache._follow(store))
        assert await asyncio.wait_for(reading, 10) == b"the end"
        await cache.wait_for(gone.revision, 10)
        assert cache.resource("", "pods").select() == []
        await cache.stop()
        await store.close()
        await other.close()
