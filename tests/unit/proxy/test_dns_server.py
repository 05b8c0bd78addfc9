"""The DNS servers over loopback, asked with dnspython."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from k8slite.clock import VirtualClock
from k8slite.proxy.dns.records import domain_records, service_records
from k8slite.proxy.dns.resolver import Resolver
from k8slite.proxy.dns.server import DnsServer
from k8slite.proxy.dns.upstream import Server, Upstream, parse_server, read_resolv_conf
from k8slite.proxy.dns.zone import Zone

from .objects import piece, service

DOMAIN = "cluster.local"
WEB = "web.default.svc.cluster.local."


class Running:
    """A server, its zone and its clock."""

    def __init__(self, zone: Zone, clock: VirtualClock, port: int) -> None:
        self.zone, self.clock, self.port = zone, clock, port

    async def ask(self, name: str, kind: str = "A", **options) -> dns.message.Message:
        query = dns.message.make_query(name, kind, **options)
        return await dns.asyncquery.udp(query, "127.0.0.1", port=self.port, timeout=3)

    async def ask_tcp(self, name: str, kind: str = "A") -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        return await dns.asyncquery.tcp(query, "127.0.0.1", port=self.port, timeout=3)


@asynccontextmanager
async def running(*upstream: str) -> AsyncIterator[Running]:
    clock = VirtualClock()
    zone = Zone(DOMAIN, reverse=["10.96.0.0/16"])
    zone.put("", domain_records(DOMAIN, server="10.96.0.10"))
    put(zone, service())
    resolver = Resolver(zone, Upstream(upstream, resolv_conf=Path("/none"), ourselves=["10.96.0.10"]), clock=clock)
    async with DnsServer(resolver).listening(["127.0.0.1"], 0) as bound:
        yield Running(zone, clock, bound[0][1])


def put(zone: Zone, each, *slices) -> None:
    zone.put(each.key, service_records(each, slices, domain=DOMAIN))


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running() as made:
        yield made


def addresses(message: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in message.answer for item in rrset]


class FakeUpstream(asyncio.DatagramProtocol):
    """A name server whose answers a test writes; it counts the questions."""

    def __init__(self, reply: Callable[[dns.message.Message], bytes | None]) -> None:
        self.reply, self.asked = reply, 0

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr) -> None:
        self.asked += 1
        response = self.reply(dns.message.from_wire(data))
        if response is not None:
            self.transport.sendto(response, addr)


@asynccontextmanager
async def upstream(
    reply: Callable[[dns.message.Message], bytes | None], *, port: int = 0
) -> AsyncIterator[tuple[str, FakeUpstream]]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: FakeUpstream(reply), local_addr=("127.0.0.1", port)
    )
    host, port = transport.get_extra_info("sockname")
    try:
        yield f"{host}:{port}", protocol
    finally:
        transport.close()


def said(query: dns.message.Message, *data: str, ttl: int = 60) -> bytes:
    response = dns.message.make_response(query)
    if data:
        response.answer = [dns.rrset.from_text_list(query.question[0].name, ttl, "IN", "A", data)]
    return response.to_wire()


async def test_service_is_answered_with_authority(server: Running):
    response = await server.ask(WEB)
    assert addresses(response) == ["10.96.0.20"]
    assert response.flags & dns.flags.AA and response.flags & dns.flags.RA


async def test_same_question_again_is_answered_under_its_own_identity(server: Running):
    for _ in range(3):
        assert addresses(await server.ask(WEB)) == ["10.96.0.20"]


async def test_change_of_the_zone_shows_at_once(server: Running):
    await server.ask(WEB)
    put(server.zone, service("web", "10.96.0.99"))
    assert addresses(await server.ask(WEB)) == ["10.96.0.99"]


async def test_spelling_of_the_question_is_kept(server: Running):
    response = await server.ask("wEb.Default.svc.cluster.local.")
    assert response.answer[0].name.to_text() == "wEb.Default.svc.cluster.local."


async def test_missing_name_has_an_soa(server: Running):
    response = await server.ask("gone.default.svc.cluster.local.")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.authority[0].name.to_text() == "cluster.local."


async def test_long_answer_is_cut_for_udp_and_whole_over_tcp(server: Running):
    each = service("many", "None")
    put(server.zone, each, piece(*(f"10.42.1.{number}" for number in range(1, 201)), name="many"))
    name = "many.default.svc.cluster.local."
    cut = await server.ask(name)
    assert cut.flags & dns.flags.TC and not cut.answer
    assert len(addresses(await server.ask_tcp(name))) == 200


async def test_edns_lets_answers_be_longer(server: Running):
    each = service("some", "None")
    put(server.zone, each, piece(*(f"10.42.1.{number}" for number in range(1, 51)), name="some"))
    name = "some.default.svc.cluster.local."
    assert (await server.ask(name)).flags & dns.flags.TC
    whole = await server.ask(name, use_edns=0, payload=1232)
    assert len(addresses(whole)) == 50 and whole.edns == 0


async def test_addresses_of_a_headless_service_come_in_turn(server: Running):
    put(server.zone, service("db", "None"), piece("10.42.1.1", "10.42.1.2", "10.42.1.3", name="db"))
    firsts = {addresses(await server.ask("db.default.svc.cluster.local."))[0] for _ in range(9)}
    assert firsts == {"10.42.1.1", "10.42.1.2", "10.42.1.3"}


async def test_several_questions_over_one_stream(server: Running):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    queries = [dns.message.make_query(WEB, kind) for kind in ("A", "AAAA")]
    for query in queries:
        wire = query.to_wire()
        writer.write(struct.pack("!H", len(wire)) + wire)
    for query in queries:
        length = int.from_bytes(await reader.readexactly(2))
        assert query.is_response(dns.message.from_wire(await reader.readexactly(length)))
    writer.close()


@pytest.mark.parametrize("junk", [b"", b"\0", b"\0" * 11, b"\xff" * 40, b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"])
async def test_junk_does_not_stop_the_server(server: Running, junk: bytes):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(junk, ("127.0.0.1", server.port))
    assert addresses(await server.ask(WEB)) == ["10.96.0.20"]


async def test_own_names_are_answered_while_an_upstream_keeps_thousands_of_questions_waiting():
    async with upstream(lambda query: None) as (address, _), running(address) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            query = dns.message.make_query("slow.example.com.", "A").to_wire()
            for number in range(2500):
                client.sendto(query, ("127.0.0.1", server.port))
                if number % 20 == 0:
                    await asyncio.sleep(0)
        assert addresses(await server.ask(WEB)) == ["10.96.0.20"]


async def test_other_names_are_asked_upstream_and_kept_for_their_time():
    async with upstream(lambda query: said(query, "192.0.2.7", ttl=10)) as (address, fake), running(address) as server:
        for _ in range(2):
            assert addresses(await server.ask("example.com.")) == ["192.0.2.7"]
        assert fake.asked == 1
        await server.clock.advance(11)
        await server.ask("example.com.")
        assert fake.asked == 2


async def test_the_next_server_is_asked_when_one_refuses_connections():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{unused.getsockname()[1]}"
    async with upstream(lambda query: said(query, "192.0.2.7")) as (address, _), running(dead, address) as server:
        assert addresses(await server.ask("example.com.")) == ["192.0.2.7"]


async def test_forged_answers_are_passed_over():
    def forge(query: dns.message.Message) -> bytes:
        wrong = dns.message.make_query("other.example.", "A", id=query.id)
        fake.transport.sendto(said(wrong, "203.0.113.66"), fake.last)
        return said(query, "192.0.2.7")

    async with upstream(forge) as (address, fake), running(address) as server:
        original = fake.datagram_received

        def remember(data: bytes, addr) -> None:
            fake.last = addr
            original(data, addr)

        fake.datagram_received = remember
        assert addresses(await server.ask("example.com.")) == ["192.0.2.7"]


async def test_what_upstream_cuts_off_is_asked_again_over_tcp():
    def cut(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.TC
        return response.to_wire()

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2))
        query = dns.message.from_wire(await reader.readexactly(length))
        response = said(query, *(f"192.0.2.{number}" for number in range(1, 101)))
        writer.write(len(response).to_bytes(2) + response)
        writer.close()

    # The port is chosen for TCP, where connections of others may hold a number; UDP has hardly any in use.
    async with await asyncio.start_server(whole, "127.0.0.1", 0) as over_tcp:
        port = over_tcp.sockets[0].getsockname()[1]
        async with upstream(cut, port=port) as (address, _), running(address) as server:
            assert (await server.ask("example.com.")).flags & dns.flags.TC
            assert len(addresses(await server.ask_tcp("example.com."))) == 100


async def test_without_upstream_other_names_fail_at_once(server: Running):
    assert (await server.ask("example.com.")).rcode() == dns.rcode.SERVFAIL


async def test_external_name_comes_with_its_addresses():
    async with upstream(lambda query: said(query, "192.0.2.7")) as (address, _), running(address) as server:
        put(server.zone, service("out", "", type="ExternalName", externalName="example.com"))
        response = await server.ask("out.default.svc.cluster.local.")
        assert addresses(response) == ["example.com.", "192.0.2.7"]


def test_upstream_leaves_ourselves_out():
    found = Upstream(["10.96.0.10", "192.0.2.1"], resolv_conf=Path("/none"), ourselves=["10.96.0.10"])
    assert found.servers() == [Server("192.0.2.1")]


def test_resolv_conf_is_read_again_when_it_changes(tmp_path: Path):
    path = tmp_path / "resolv.conf"
    path.write_text("# comment\nsearch example.com\nnameserver 192.0.2.1\n")
    found = Upstream([], resolv_conf=path, ourselves=[])
    assert found.servers() == [Server("192.0.2.1")]
    path.write_text("nameserver 192.0.2.2\nnameserver fe80::1%eth0\n")
    assert read_resolv_conf(path) == [Server("192.0.2.2"), Server("fe80::1")]


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.1", Server("192.0.2.1")),
        ("192.0.2.1:5353", Server("192.0.2.1", 5353)),
        ("2001:db8::1", Server("2001:db8::1")),
        ("[2001:db8::1]:5353", Server("2001:db8::1", 5353)),
    ],
)
def test_server_addresses_are_read(text: str, server: Server):
    assert parse_server(text) == server
