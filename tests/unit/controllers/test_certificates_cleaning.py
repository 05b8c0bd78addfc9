"""When certificate requests and bootstrap tokens go, by a clock that runs as the test wishes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from k8slite.clock import timestamp
from k8slite.controllers.bootstrap import cleaner
from k8slite.controllers.certificates import cleaning, pod_requests

from .builders import at
from .node_world import World

HOUR = 3600


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(Random(1))
    made.start(cleaning.build, pod_requests.build, cleaner.build)
    yield made
    await made.stop()


def make(world: World, plural: str, key: str, **parts: Any) -> None:
    namespace, _, name = key.rpartition("/")
    metadata = {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": timestamp(world.clock.now())}
    world.put(plural, key, {"metadata": metadata, **parts})


def decide(world: World, name: str, kind: str) -> None:
    condition = {"type": kind, "status": "True", "lastUpdateTime": timestamp(world.clock.now())}
    found = world.objects["certificatesigningrequests"][name]
    world.put("certificatesigningrequests", name, found | {"status": {"conditions": [condition]}})


def left(world: World, plural: str) -> set[str]:
    return set(world.objects[plural])


async def test_requests_go_in_time(world: World) -> None:
    requests = "certificatesigningrequests"
    for name in ("pending", "denied", "failed", "foreign", "late"):
        make(world, requests, name)
    await world.clock.advance(HOUR)
    decide(world, "denied", "Denied")
    decide(world, "failed", "Failed")
    decide(world, "foreign", "Approved")
    await world.clock.advance(HOUR - 1)
    assert left(world, requests) == {"pending", "denied", "failed", "foreign", "late"}
    await world.clock.advance(2)
    assert left(world, requests) == {"pending", "foreign", "late"}
    await world.clock.advance(22 * HOUR - 10)
    decide(world, "late", "Approved")
    await world.clock.advance(20)
    assert left(world, requests) == {"foreign", "late"}
    await world.clock.advance(100 * HOUR)
    assert left(world, requests) == {"foreign", "late"}


async def test_requests_of_pods_go_after_a_quarter_of_an_hour(world: World) -> None:
    make(world, "podcertificaterequests", "default/first")
    await world.clock.advance(600)
    make(world, "podcertificaterequests", "default/second")
    await world.clock.advance(301)
    assert left(world, "podcertificaterequests") == {"default/second"}
    await world.clock.advance(600)
    assert left(world, "podcertificaterequests") == set()


async def test_tokens_go_when_they_end_unless_they_were_given_more_time(world: World) -> None:
    def token(name: str, namespace: str, ends: float) -> None:
        expiration = base64.b64encode(timestamp(at(ends)).encode()).decode()
        data = {"expiration": expiration} if ends else {}
        make(world, "secrets", f"{namespace}/{name}", type="bootstrap.kubernetes.io/token", data=data)

    token("soon", "kube-system", 60)
    token("renewed", "kube-system", 60)
    token("ever", "kube-system", 0)
    token("elsewhere", "default", 60)
    await world.clock.advance(50)
    token("renewed", "kube-system", 200)
    await world.clock.advance(20)
    assert left(world, "secrets") == {"kube-system/renewed", "kube-system/ever", "default/elsewhere"}
    await world.clock.advance(150)
    assert left(world, "secrets") == {"kube-system/ever", "default/elsewhere"}
