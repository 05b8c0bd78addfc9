"""Events end by themselves: watchers see them go, in both groups, and everything else stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

from k8slite.client import Client
from k8slite.kinds.resources import CONFIG_MAPS, EVENTS
from k8slite.testing import running_server


async def test_events_end_and_are_found_by_a_server_that_begins_later(tmp_path: Path) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "heard", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"},
        "reason": "Test",
        "type": "Normal",
    }
    async with running_server(store="sqlite", directory=tmp_path) as server, Client(server.admin) as client:
        old = body | {"lastTimestamp": "2020-01-01T00:00:00Z", "metadata": body["metadata"] | {"name": "old"}}
        await client.create(EVENTS, old, namespace="default")
        await client.create(CONFIG_MAPS, {"metadata": {"name": "stays"}}, namespace="default")
    async with (
        running_server(store="sqlite", directory=tmp_path, event_ttl=1.0) as server,
        Client(server.admin) as client,
    ):
        listing = await client.list(EVENTS, namespace="default")
        await client.create(EVENTS, body, namespace="default")
        gone: set[str] = {"old"} - {item.name for item in listing.items}
        async with asyncio.timeout(30):
            async for seen in client.watch(EVENTS, resource_version=listing.resource_version, namespace="default"):
                if seen.type == "DELETED":
                    gone.add(seen.object.name)
                    if gone == {"old", "heard"}:
                        break
        newer = await client.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events")
        assert newer["items"] == []
        await client.get(CONFIG_MAPS, "stays", namespace="default")
