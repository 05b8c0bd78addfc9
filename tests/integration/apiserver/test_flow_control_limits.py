"""Who waits and who is refused when a level has no seat left; and who holds none, however slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from k8slite.apiserver.flowcontrol.levels import Flow
from k8slite.connection import ClientConfig
from k8slite.testing import RunningServer, running_server

GROUP = "/apis/flowcontrol.apiserver.k8s.io/v1"
DUMP = "/debug/api_priority_and_fairness"
PODS = "/api/v1/namespaces/default/pods"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def waiting(server: RunningServer, name: str) -> list[Any]:
    """Who waits in the queues of a level."""
    return [request.owner for queue in server.app.flow.levels[name].queues for request in queue.waiting]


async def level(server: RunningServer, name: str, **queuing: int) -> ClientConfig:
    """Make a level of which one user has all; who that is. Without queues what does not fit is refused."""
    response = {"type": "Queue", "queuing": queuing} if queuing else {"type": "Reject"}
    limited = {"nominalConcurrencyShares": 5, "borrowingLimitPercent": 0, "limitResponse": response}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    rule = {"subjects": [{"kind": "User", "user": {"name": name}}], "resourceRules": [everything]}
    spec = {"priorityLevelConfiguration": {"name": name}, "matchingPrecedence": 50, "rules": [rule]}
    level = {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}
    rbac = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": name}],
    }
    async with server.http() as admin:
        for path, body in (
            (f"{GROUP}/prioritylevelconfigurations", level),
            (f"{GROUP}/flowschemas", {"metadata": {"name": name}, "spec": spec}),
            (f"/apis/{rbac}/v1/clusterrolebindings", binding),
        ):
            made = await admin.post(path, json=body)
            assert made.status_code == 201, made.text
    await until(lambda: name in server.app.flow.levels)
    return server.client_config(name)


@contextlib.contextmanager
def full(server: RunningServer, name: str) -> Iterator[Flow]:
    """Take every seat of a level, and give them back."""
    level = server.app.flow.levels[name]
    tally = next(tally for tally in server.app.flow.tallies.values() if tally.schema == name)
    flow = Flow(level, tally, distinguisher="", headers=())
    taken = 0
    while flow.enter():
        taken += 1
    assert taken == level.limit
    try:
        yield flow
    finally:
        for _ in range(taken):
            flow.leave(0.0)


async def rows(server: RunningServer, dump: str, name: str) -> list[list[str]]:
    """The lines of a dump that are about a level."""
    async with server.http() as admin:
        lines = (await admin.get(f"{DUMP}/{dump}")).text.splitlines()
    return [row for line in lines if (row := [cell.strip() for cell in line.split(",")])[0] == name]


async def test_without_queues_whoever_finds_no_seat_is_refused(server: RunningServer) -> None:
    async with server.http(await level(server, "narrow")) as client:
        assert (await client.get(PODS)).status_code == 200
        with full(server, "narrow"):
            refused = await client.get(PODS)
            assert refused.status_code == 429
            assert refused.text == "Too many requests, please try again later.\n"
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["content-type"].startswith("text/plain")
            assert refused.headers["x-kubernetes-pf-prioritylevel-uid"]
            async with server.http(server.client_config("other")) as other:  # another level is not concerned
                assert (await other.get("/version")).status_code == 200
        assert (await client.get(PODS)).status_code == 200
    async with server.http() as admin:
        metrics = (await admin.get("/metrics")).text
    counted = 'flow_schema="narrow",priority_level="narrow",reason="concurrency-limit"} 1.0'
    assert f"apiserver_flowcontrol_rejected_requests_total{{{counted}" in metrics


async def test_who_waits_is_seen_and_served_in_the_end(server: RunningServer) -> None:
    async with server.http(await level(server, "queued", queues=2, handSize=1, queueLengthLimit=2)) as client:
        assert (await client.get(PODS)).status_code == 200
        with full(server, "queued"):
            patient = [asyncio.create_task(client.get(PODS)) for _ in range(2)]
            await until(lambda: len(waiting(server, "queued")) == 2)
            found = await rows(server, "dump_requests", "queued")
            assert [row[3] for row in found] == ["0", "1"]
            [summary] = await rows(server, "dump_priority_levels", "queued")
            assert (summary[1], summary[4]) == ("1", "2")
            refused = await client.get(PODS)  # its queue is full
            assert refused.status_code == 429
        assert [(await answer).status_code for answer in patient] == [200, 200]


async def test_who_waits_too_long_is_refused(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8slite.apiserver.flowcontrol.control.PATIENCE", 0.05)
    async with server.http(await level(server, "tired", queues=1, handSize=1, queueLengthLimit=5)) as client:
        assert (await client.get(PODS)).status_code == 200
        with full(server, "tired"):
            refused = await client.get(PODS)
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "1"
    [summary] = await rows(server, "dump_priority_levels", "tired")
    assert summary[8:] == ["1", "0"]


async def test_who_leaves_while_it_waits_is_not_served(server: RunningServer) -> None:
    user = await level(server, "gone", queues=1, handSize=1, queueLengthLimit=5)
    async with server.http(user) as client:
        assert (await client.get(PODS)).status_code == 200
        with full(server, "gone"):
            made = asyncio.create_task(client.post(PODS, json={"metadata": {"name": "never"}}))
            await until(lambda: bool(waiting(server, "gone")))
            made.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await made
            await until(lambda: all(ticket.gone() for ticket in waiting(server, "gone")))
        await until(lambda: server.app.flow.levels["gone"].cancelled == 1)
        assert (await rows(server, "dump_priority_levels", "gone"))[0][9] == "1"
        assert (await client.get(f"{PODS}/never")).status_code == 404


async def test_a_level_that_is_removed_serves_those_who_wait(server: RunningServer) -> None:
    async with server.http(await level(server, "leaving", queues=1, handSize=1, queueLengthLimit=5)) as client:
        assert (await client.get(PODS)).status_code == 200
        async with server.http() as admin:
            with full(server, "leaving"):
                patient = asyncio.create_task(client.get(PODS))
                await until(lambda: bool(waiting(server, "leaving")))
                assert (await admin.delete(f"{GROUP}/prioritylevelconfigurations/leaving")).status_code == 200
                await until(lambda: server.app.flow.levels["leaving"].removed)
                [summary] = await rows(server, "dump_priority_levels", "leaving")
                assert summary[3] == "true"
            assert (await patient).status_code == 200
        await until(lambda: "leaving" not in server.app.flow.levels)


async def test_a_watch_holds_its_seat_only_until_it_begins(server: RunningServer) -> None:
    async with (
        server.http(await level(server, "watcher")) as client,
        client.stream("GET", PODS, params={"watch": "1"}) as watch,
    ):
        assert watch.status_code == 200
        assert watch.headers["x-kubernetes-pf-flowschema-uid"]
        [summary] = await rows(server, "dump_priority_levels", "watcher")
        assert summary[5:7] == ["0", "1"]


@contextlib.asynccontextmanager
async def connected(
    server: RunningServer, config: ClientConfig
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which nobody speaks HTTP by themselves."""
    context = ssl.create_default_context(cafile=str(config.ca_file))
    context.load_cert_chain(str(config.cert_file), str(config.key_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_who_is_slow_in_sending_its_body_holds_no_seat(server: RunningServer) -> None:
    user = await level(server, "slow", queues=1, handSize=1, queueLengthLimit=50)
    body = json.dumps({"metadata": {"name": "slow"}, "data": {"a": "b"}}).encode()
    path = "/api/v1/namespaces/default/configmaps"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    async with contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(server, user)) for _ in range(20)]
        for _, writer in slow:
            writer.write(head.encode() + body[:10])
        await until(lambda: ("slow", "slow") in server.app.flow.tallies)
        await until(lambda: server.app.flow.tallies["slow", "slow"].dispatched == len(slow))
        async with server.http(user) as client:
            assert (await client.get(PODS)).status_code == 200
        [summary] = await rows(server, "dump_priority_levels", "slow")
        assert summary[5] == "0"
        reader, writer = slow[0]
        writer.write(body[10:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 201")


async def test_who_does_not_read_its_answers_holds_no_seat(server: RunningServer) -> None:
    user = await level(server, "deaf")
    async with server.http() as admin:
        for number in range(20):  # more than the kernel's buffers take
            body = {"metadata": {"name": f"large-{number}"}, "data": {"a": "x" * 900_000}}
            made = await admin.post("/api/v1/namespaces/default/configmaps", json=body)
            assert made.status_code == 201
    request = b"GET /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connected(server, user) as (reader, writer):
        writer.transport.pause_reading()
        writer.write(request)
        await until(lambda: ("deaf", "deaf") in server.app.flow.tallies)
        await until(lambda: server.app.flow.tallies["deaf", "deaf"].dispatched == 1)
        assert (await rows(server, "dump_priority_levels", "deaf"))[0][5] == "0"
        writer.write(request)  # it is not served before the first is read
        async with server.http(user) as client:
            assert (await client.get(PODS)).status_code == 200
        assert (await rows(server, "dump_priority_levels", "deaf"))[0][6] == "2"
        writer.transport.resume_reading()
        async with asyncio.timeout(30):
            received = 0
            while received < 2 * 18_000_000:
                received += len(await reader.read(1 << 20))
        assert (await rows(server, "dump_priority_levels", "deaf"))[0][6] == "3"


async def test_who_sends_requests_without_waiting_for_answers_is_cut_off(server: RunningServer) -> None:
    async with connected(server, server.admin) as (reader, writer):
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        answers = b""
        async with asyncio.timeout(20):
            while answers.count(b"HTTP/1.1 200") < 10:
                answers += await reader.read(1 << 16)
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while piece := await reader.read(1 << 16):
                    answers += piece
        assert answers.count(b"HTTP/1.1 200") < 1000


async def test_a_full_server_lets_strangers_push_out_strangers() -> None:
    async with running_server(max_connections=24) as server, server.http() as admin:
        assert (await admin.get("/version")).status_code == 200
        async with contextlib.AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(connected(server, server.admin)) for _ in range(60)]
            assert (await admin.get("/version")).status_code == 200, "whoever has spoken keeps its connection"
            async with asyncio.timeout(20):
                ended = [reader async for reader in _ended([reader for reader, _ in silent], at_least=36)]
            assert len(ended) >= 36
            async with server.http() as newcomer:
                assert (await newcomer.get("/version")).status_code == 200


async def _ended(readers: list[asyncio.StreamReader], *, at_least: int) -> AsyncIterator[asyncio.StreamReader]:
    """Those connections that the server ends, until there are enough."""

    async def end(reader: asyncio.StreamReader) -> asyncio.StreamReader:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        return reader

    tasks = [asyncio.create_task(end(reader)) for reader in readers]
    try:
        for number, task in enumerate(asyncio.as_completed(tasks), start=1):
            yield await task
            if number >= at_least:
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
