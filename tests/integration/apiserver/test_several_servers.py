"""API servers that share one etcd: nothing is given out twice, writes are read everywhere, one may leave in peace."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson

from k8slite.config import StoreConfig
from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl
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


@contextlib.asynccontextmanager
async def three_servers(directory: Path) -> AsyncIterator[tuple[list[RunningServer], list[contextlib.AsyncExitStack]]]:
    """Three servers that all start in the same moment on an etcd that is empty, and what stops each."""
    with etcd(directory) as [member]:
        store = StoreConfig(engine="etcd", endpoints=[member.endpoint])
        starting = contextlib.AsyncExitStack
        stacks = [starting(), starting(), starting()]
        try:
            servers = await asyncio.gather(
                *(
                    stack.enter_async_context(
                        running_server(
                            store=store,
                            directory=directory,
                            serviceaccounts=False,
                            advertise_address=f"10.0.0.{number}",
                            **SETTINGS,
                        )
                    )
                    for number, stack in enumerate(stacks, 1)
                )
            )
            yield list(servers), stacks
        finally:
            await asyncio.gather(*(stack.aclose() for stack in stacks))


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


DEFAULTS = (
    *("/api/v1/namespaces", "/api/v1/services", "/apis/networking.k8s.io/v1/ipaddresses"),
    *("/apis/networking.k8s.io/v1/servicecidrs", "/apis/scheduling.k8s.io/v1/priorityclasses"),
    *("/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
    *("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", "/apis/apiregistration.k8s.io/v1/apiservices"),
)


async def test_three_servers_begin_a_cluster_together(tmp_path: Path) -> None:
    async with three_servers(tmp_path) as (servers, stacks), contextlib.AsyncExitStack() as clients:
        https = [await clients.enter_async_context(server.http()) for server in servers]
        for url in DEFAULTS:
            first, *others = [
                {item["metadata"]["name"]: item["metadata"]["uid"] for item in (await http.get(url)).json()["items"]}
                for http in https
            ]
            assert first and all(other == first for other in others), url
        assert await addresses(https[0]) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        await asyncio.gather(stacks[0].aclose(), stacks[2].aclose())
        assert await addresses(https[1]) == ["10.0.0.2"]


async def addresses(http: httpx.AsyncClient) -> list[str]:
    """Where clients inside find the servers: the same in both kinds of objects."""
    endpoints = (await http.get("/api/v1/namespaces/default/endpoints/kubernetes")).json()
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
    found = [endpoint["addresses"][0] for endpoint in (await http.get(slices)).json()["endpoints"]]
    assert found == [address["ip"] for address in endpoints["subsets"][0]["addresses"]]
    return found


async def test_kubectl_works_on_through_one_server_after_the_other(tmp_path: Path) -> None:
    """Each command goes to the next server, and builds on what the last one did; one server ends in the midst."""
    async with three_servers(tmp_path) as (servers, stacks):
        turn = itertools.cycle([Kubectl(server) for server in servers])

        async def kubectl(*arguments: str, stdin: str = "") -> str:
            result = await next(turn)(*arguments, stdin=stdin)
            assert result.code == 0, f"{arguments}: {result.err}"
            return result.out

        for number in range(4):
            where = ("-n", f"team-{number}")
            await kubectl("create", "namespace", where[1])
            await kubectl(*where, "create", "deployment", "web", "--image=busybox")
            await kubectl(*where, "scale", "deployment", "web", "--replicas=3", "--current-replicas=1")
            await kubectl(*where, "expose", "deployment", "web", "--port=80", "--type=NodePort")
            await kubectl(*where, "label", "service", "web", "tier=front")
            await kubectl(*where, "set", "image", "deployment/web", f"busybox=busybox:{number}")
            assert await kubectl(*where, "get", "service", "-l", "tier=front", "-o", "name") == "service/web"
            manifest = await kubectl(
                *where, "create", "configmap", "c", "--from-literal=a=1", "--dry-run=client", "-oyaml"
            )
            assert "serverside-applied" in await kubectl(*where, "apply", "--server-side", "-f", "-", stdin=manifest)
            image = "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}"
            assert await kubectl(*where, "get", "deployment", "web", "-o", image) == f"3 busybox:{number}"
            await kubectl(*where, "delete", "service", "web")
            if number == 1:
                await stacks[0].aclose()
                turn = itertools.cycle([Kubectl(server) for server in servers[1:]])
