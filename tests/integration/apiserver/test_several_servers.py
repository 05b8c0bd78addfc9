"""API servers that share one etcd: nothing is given out twice, writes are read everywhere, one may leave in peace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson

from k8slite.config import StoreConfig
from k8slite.testing import RunningServer, running_server
from tests.contract.etcd_server import etcd

SERVICES = "/api/v1/namespaces/default/services"
MAPS = "/api/v1/namespaces/default/configmaps"
SETTINGS: dict[str, Any] = {"service_cidr": "10.200.0.0/26", "node_port_range": (31000, 31019), "shutdown_delay": 1.0}


@contextlib.asynccontextmanager
async def two_servers(directory: Path) -> AsyncIterator[tuple[RunningServer, RunningServer, contextlib.AsyncExitStack]]:
    """Two servers, and the stack that stops the first."""
    with etcd(directory) as [member]:
        store = StoreConfig(engine="etcd", endpoints=[member.endpoint])
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(running_server(store=store, directory=directory, **SETTINGS))
            async with running_server(store=store, directory=directory, **SETTINGS) as second:
                yield first, second, stack


class Written(list[str]):
    """The names that were written."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Event()

    def add(self, name: str) -> None:
        self.append(name)
        self._grown.set()

    async def more(self, number: int) -> None:
        """Return after so many more."""
        goal = len(self) + number
        async with asyncio.timeout(30):
            while len(self) < goal:
                self._grown.clear()
                await self._grown.wait()


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"port": 80}], **spec}}


async def test_no_address_and_no_port_is_given_out_twice(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (first, second, _), first.http() as one, second.http() as other:
        answers = await asyncio.gather(
            *((one, other)[number % 2].post(SERVICES, json=service(f"s{number}")) for number in range(18))
        )
        made = [answer.json()["spec"] for answer in answers]
        assert [answer.status_code for answer in answers] == [201] * 18
        assert len({spec["clusterIP"] for spec in made}) == 18
        assert len({spec["ports"][0]["nodePort"] for spec in made}) == 18
        wanted = [service(f"w{number}", type="ClusterIP", clusterIP="10.200.0.5") for number in range(8)]
        answers = await asyncio.gather(
            *((one, other)[number % 2].post(SERVICES, json=body) for number, body in enumerate(wanted))
        )
        assert sorted(answer.status_code for answer in answers) == [201] + [422] * 7
        listed = (await one.get("/apis/networking.k8s.io/v1/ipaddresses")).json()["items"]
        assert len(listed) == 20  # with the servers' own Service


async def test_what_one_server_wrote_the_other_reads_at_once(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (first, second, _), first.http() as one, second.http() as other:
        for number in range(30):
            body = {"metadata": {"name": f"m{number}"}, "data": {"n": str(number)}}
            assert (await one.post(MAPS, json=body)).status_code == 201
            assert (await other.get(f"{MAPS}/m{number}")).json()["data"] == {"n": str(number)}
            names = [item["metadata"]["name"] for item in (await other.get(MAPS)).json()["items"]]
            assert f"m{number}" in names


async def test_a_server_that_ends_loses_no_request_and_its_watches_go_on_elsewhere(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (first, second, stopping), first.http() as one, second.http() as other:
        balancer = {"to": one}
        revision = (await one.get(MAPS)).json()["metadata"]["resourceVersion"]
        seen: list[str] = []
        ended = asyncio.create_task(_watch(one, revision, seen))
        written = Written()
        stop = asyncio.Event()
        writers = [asyncio.create_task(_write(balancer, f"w{number}", written, stop)) for number in range(4)]
        await written.more(40)
        closing = asyncio.create_task(stopping.aclose())
        while (await one.get("/readyz")).status_code == 200:
            await written.more(1)
        assert not closing.done(), "it says that it will end before it does"
        balancer["to"] = other
        last = await ended
        await closing
        await written.more(40)
        stop.set()
        await asyncio.gather(*writers)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await _watch(other, last, seen, until=len(written))
        assert sorted(seen) == sorted(written), "each write was seen once, before or after the change of servers"


async def _write(balancer: dict[str, httpx.AsyncClient], name: str, written: Written, stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        body = {"metadata": {"name": f"{name}-{number}"}}
        answer = await balancer["to"].post(MAPS, json=body)  # a request that is lost raises
        assert answer.status_code == 201, answer.text
        written.add(body["metadata"]["name"])
        number += 1


async def _watch(http: httpx.AsyncClient, revision: str, seen: list[str], *, until: int = 1 << 30) -> str:
    """Watch until the server ends the answer, as a whole one; where to resume."""
    async with http.stream("GET", f"{MAPS}?watch=true&resourceVersion={revision}", timeout=30) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            event = orjson.loads(line)
            assert event["type"] == "ADDED", event
            seen.append(event["object"]["metadata"]["name"])
            revision = event["object"]["metadata"]["resourceVersion"]
            if len(seen) >= until:
                break
    return revision
