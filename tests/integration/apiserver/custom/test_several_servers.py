"""Two API servers over one etcd: what one is told, both serve; what both do, is done once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from k8slite.config import StoreConfig
from k8slite.testing import running_server
from tests.contract.etcd_server import etcd

from .definitions import CRDS, change, condition, custom, definition, establish, path, until, version, wait_for

Pair = tuple[httpx.AsyncClient, httpx.AsyncClient]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with contextlib.AsyncExitStack() as stack:
        [member] = stack.enter_context(etcd(tmp_path / "etcd"))
        store = StoreConfig(engine="etcd", endpoints=[member.endpoint])
        clients = []
        for _ in range(2):
            server = await stack.enter_async_context(running_server(store=store))
            clients.append(await stack.enter_async_context(server.http()))
        yield clients[0], clients[1]


async def test_both_serve_what_one_is_told(pair: Pair) -> None:
    first, second = pair
    closed = {"type": "object", "properties": {"a": {"type": "string"}}}
    made = definition("shares", "shared.example.com", version(schema=closed))
    await establish(first, made)

    async def served() -> bool:
        return (await second.get(path(made))).status_code == 200

    async with asyncio.timeout(1):
        await until(served, "the other server does not serve it")
    body = custom("shared.example.com/v1", "Share", "one", a="x", b="y")
    assert "b" not in (await second.post(path(made), json=body)).json()
    assert (await first.get(f"{path(made)}/one")).json()["a"] == "x"

    def widen(document: dict[str, Any]) -> None:
        properties = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        properties["b"] = {"type": "string", "default": "B"}

    await change(second, "shares.shared.example.com", widen)

    async def defaulted() -> bool:
        return bool((await first.get(f"{path(made)}/one")).json().get("b") == "B")

    async with asyncio.timeout(1):
        await until(defaulted, "the first server keeps the old schema")
    assert (await second.delete(f"{CRDS}/shares.shared.example.com")).status_code == 200
    for client in pair:

        async def gone(client: httpx.AsyncClient = client) -> bool:
            return (await client.get(path(made))).status_code == 404

        await until(gone, "it is still served")
    assert (await first.get(f"{CRDS}/shares.shared.example.com")).status_code == 404


async def test_one_of_two_that_want_a_name_gets_it(pair: Pair) -> None:
    first, second = pair
    rivals = [definition(plural, "rivals.example.com", kind="Rival") for plural in ("lefts", "rights")]
    await establish(first, rivals[0])
    assert (await second.post(CRDS, json=rivals[1])).status_code == 201
    told = await wait_for(first, "rights.rivals.example.com", "NamesAccepted", "False")
    assert condition(told, "Established")["status"] == "False"
    written = (await second.get(f"{CRDS}/rights.rivals.example.com")).json()["metadata"]["resourceVersion"]
    await establish(second, definition("others", "rivals.example.com"))
    again = (await first.get(f"{CRDS}/rights.rivals.example.com")).json()["metadata"]["resourceVersion"]
    assert again == written
