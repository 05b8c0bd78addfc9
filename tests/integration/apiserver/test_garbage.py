"""No request is left for the garbage collector: what it took is free when it ends, not at its next round."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from k8slite.apiserver.audit.record import Record
from k8slite.apiserver.calls import Call
from k8slite.apiserver.passage import Passage
from k8slite.apiserver.wire.exchange import Exchange
from k8slite.errors import ApiError
from k8slite.testing import RunningServer

from .audit_log import EVERYTHING, audited

pytestmark = pytest.mark.asyncio(loop_scope="module")

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
PARTS = (Passage, Exchange, Call, Record, ApiError)
TIMES = 20
LONG = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """A server that records all that there is to record."""
    directory: Path = tmp_path_factory.mktemp("audit")
    async with audited(directory, EVERYTHING) as found:
        yield found.server


async def _create(http: httpx.AsyncClient, number: int) -> int:
    body = {"metadata": {"generateName": "garbage-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return (await http.post(PODS, json=body)).status_code


async def _get(http: httpx.AsyncClient, number: int) -> int:
    return (await http.get(f"{MAPS}/garbage")).status_code


async def _list(http: httpx.AsyncClient, number: int) -> int:
    return (await http.get(MAPS, params={"labelSelector": "a=b"})).status_code


async def _miss(http: httpx.AsyncClient, number: int) -> int:
    return (await http.get(f"{MAPS}/absent")).status_code


async def _spoil(http: httpx.AsyncClient, number: int) -> int:
    return (await http.post(PODS, json={"metadata": {"name": "_"}, "spec": {}})).status_code


async def _patch(http: httpx.AsyncClient, number: int) -> int:
    headers = {"content-type": "application/merge-patch+json"}
    body = {"data": {"a": str(number)}}
    return (await http.patch(f"{MAPS}/garbage", json=body, headers=headers)).status_code


async def _doubt(http: httpx.AsyncClient, number: int) -> int:
    return (await http.get(PODS, params={"limit": "many"})).status_code


async def _impersonate(http: httpx.AsyncClient, number: int) -> int:
    return (await http.get(PODS, headers={"impersonate-user": "nobody"})).status_code


async def _discover(http: httpx.AsyncClient, number: int) -> int:
    return (await http.get("/apis/apps/v1")).status_code


async def _probe(http: httpx.AsyncClient, number: int) -> int:
    return (await http.get("/readyz")).status_code


async def _watch(http: httpx.AsyncClient, number: int) -> int:
    async with http.stream("GET", MAPS, params={"watch": "true"}) as answer:
        async for _ in answer.aiter_lines():
            break
    return answer.status_code


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (_create, 201),
        (_get, 200),
        (_list, 200),
        (_miss, 404),
        (_spoil, 422),
        (_patch, 200),
        (_doubt, 400),
        (_impersonate, 403),
        (_discover, 200),
        (_probe, 200),
        (_watch, 200),
    ],
)
async def test_a_request_leaves_nothing_behind(
    server: RunningServer, ask: Callable[[httpx.AsyncClient, int], Awaitable[int]], code: int
) -> None:
    async with server.http() as http:
        await http.post(MAPS, json={"metadata": {"name": "garbage"}})
        with _no_collector():
            before = _alive()  # other servers of the suite have theirs
            for number in range(TIMES):
                assert await ask(http, number) == code
            async with asyncio.timeout(LONG):
                while any(count > 2 for count in (_alive() - before).values()):  # noqa: ASYNC110 - the last is ending
                    await asyncio.sleep(0.01)


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _alive() -> Counter[type]:
    """How many parts of requests there are; a connection keeps its last request."""
    return Counter(type(thing) for thing in gc.get_objects() if type(thing) in PARTS)
