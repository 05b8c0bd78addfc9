"""Audit events posted to another server, which may be slow, broken or gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from k8slite.config import AuditConfig, AuditWebhookConfig
from k8slite.testing import RunningServer, running_server

from .audit_log import policy_file

MAPS = "/api/v1/namespaces/default/configmaps"
CREATES = [{"level": "RequestResponse", "verbs": ["create"]}]


class Receiver:
    """Takes lists of events; `failures` are the statuses that it answers first."""

    def __init__(self) -> None:
        self.lists: list[dict[str, Any]] = []
        self.failures: list[int] = []
        self.seen: list[Any] = []
        self.came = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append((request.method, request.path, request.headers.get("authorization"), request.content_type))
        if self.failures:
            return web.Response(status=self.failures.pop(0))
        self.lists.append(await request.json())
        self.came.set()
        return web.Response()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for found in self.lists for event in found["items"]]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


@asynccontextmanager
async def posting(directory: Path, url: str, **settings: Any) -> AsyncIterator[RunningServer]:
    kubeconfig = directory / "webhook.yaml"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": f"{url}/audit"}}],
                "users": [{"name": "u", "user": {"token": "the-receivers"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    chosen = {"batch_max_wait": 0.05, "initial_backoff": 0.01, **settings}
    audit = AuditConfig(
        policy_file=policy_file(directory, CREATES, omitStages=["RequestReceived"]),
        webhook=AuditWebhookConfig(kubeconfig=kubeconfig, **chosen),
    )
    async with running_server(directory=directory, audit=audit) as server:
        yield server


async def create(server: RunningServer, *names: str, **data: str) -> None:
    async with server.http() as http:
        for name in names:
            made = await http.post(MAPS, json={"metadata": {"name": name}, "data": data})
            assert made.status_code == 201, made.text


async def test_events_come_as_lists(tmp_path: Path) -> None:
    async with receiving() as receiver, posting(tmp_path, receiver.url) as server:
        async with asyncio.timeout(20):
            await receiver.came.wait()  # the account that every test server makes
        receiver.came.clear()
        await create(server, "one")
        async with asyncio.timeout(20):
            await receiver.came.wait()
        assert receiver.seen[0] == ("POST", "/audit", "Bearer the-receivers", "application/json")
        found = receiver.lists[-1]
        assert {key: found[key] for key in ("kind", "apiVersion", "metadata")} == {
            "kind": "EventList",
            "apiVersion": "audit.k8s.io/v1",
            "metadata": {},
        }
        (event,) = found["items"]
        assert (event["stage"], event["objectRef"]["name"]) == ("ResponseComplete", "one")
        assert event["responseObject"]["metadata"]["name"] == "one"
        assert "kind" not in event


async def test_a_list_is_sent_again_until_it_is_taken(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.failures = [500, 503, 404, 429]
        async with posting(tmp_path, receiver.url), asyncio.timeout(20):
            await receiver.came.wait()
        assert (len(receiver.seen), len(receiver.events)) == (5, 1)


async def test_events_that_nobody_takes_are_counted_and_the_server_goes_on(tmp_path: Path) -> None:
    async with posting(tmp_path, "http://127.0.0.1:1") as server, server.http() as http:
        text = ""
        async with asyncio.timeout(20):
            while 'apiserver_audit_error_total{plugin="webhook"} 1.0' not in text:
                text = (await http.get("/metrics")).text
        await create(server, "still")


async def test_batches_are_bounded_and_all_is_sent_before_the_end(tmp_path: Path) -> None:
    names = [f"map-{index}" for index in range(25)]
    async with receiving() as receiver:
        async with posting(tmp_path, receiver.url, batch_max_size=10, batch_max_wait=600.0) as server:
            await create(server, *names)
        assert [event["objectRef"]["name"] for event in receiver.events] == ["default", *names]
        assert [len(found["items"]) for found in receiver.lists] == [10, 10, 6]


async def test_large_events_lose_their_objects(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with posting(tmp_path, receiver.url, max_event_size=5000) as server:
            await create(server, "large", a="x" * 10_000)
        event = receiver.events[-1]
        assert (event["objectRef"]["name"], "requestObject" in event) == ("large", False)
        assert event["annotations"]["audit.k8s.io/truncated"] == "true"
