"""An issuer's keys: fetched when they are needed, kept while they are good, and never because a stranger wants it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from k8slite.apiserver.authn.base import Refused
from k8slite.apiserver.authn.configuration import Issuer
from k8slite.apiserver.authn.provider import Fetched, Provider, Unreachable
from k8slite.clock import VirtualClock

URL = "https://issuer.example.com"


def key(identifier: str, **more: Any) -> dict[str, Any]:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    made: dict[str, Any] = jwt.get_algorithm_by_name("ES256").to_jwk(public, as_dict=True)
    return {**made, "kid": identifier, **more}


class World:
    """An issuer that can be changed, and a provider that looks at it."""

    def __init__(self, **issuer: str) -> None:
        self.clock = VirtualClock()
        self.visits: Counter[str] = Counter()
        self.down = False
        self.discovery: Any = {"issuer": URL, "jwks_uri": f"{URL}/keys"}
        self.keys: Any = [key("k1")]
        self.cache_control = ""
        self.provider = Provider(Issuer(url=URL, **issuer), fetch=self.fetch, clock=self.clock)

    async def fetch(self, url: str, *, token: str = "") -> Fetched:
        self.visits[url] += 1
        await asyncio.sleep(0)
        if self.down:
            raise Unreachable("connection refused")
        if url.endswith("/keys"):
            return Fetched(orjson.dumps({"keys": self.keys}), self.cache_control)
        return Fetched(orjson.dumps(self.discovery))

    async def names(self, identifier: str = "") -> list[str]:
        return [found.identifier for found in await self.provider.candidates(identifier)]

    async def refuses(self, identifier: str = "") -> bool:
        try:
            await self.provider.candidates(identifier)
        except Refused:
            return True
        return False

    @property
    def fetched(self) -> int:
        return self.visits[f"{URL}/keys"]


async def test_keys_are_fetched_once_for_all_who_wait() -> None:
    world = World()
    found = await asyncio.gather(*(world.names("k1") for _ in range(10)))
    assert found == [["k1"]] * 10
    assert world.fetched == 1
    assert world.visits[f"{URL}/.well-known/openid-configuration"] == 1


async def test_another_discovery_url() -> None:
    world = World(discovery_url="https://elsewhere.example.com/doc")
    assert await world.names() == ["k1"]
    assert world.visits["https://elsewhere.example.com/doc"] == 1


@pytest.mark.parametrize(("said", "lasts"), [("max-age=300", 300), ("", 3600), ("no-store, max-age=1", 60)])
async def test_keys_are_kept_as_long_as_the_issuer_says(said: str, lasts: int) -> None:
    world = World()
    world.cache_control = said
    await world.names("k1")
    await world.clock.advance(lasts - 1)
    await world.names("k1")
    assert world.fetched == 1
    world.keys = [key("k2")]
    await world.clock.advance(1)
    assert await world.refuses("k1")
    assert await world.names("k2") == ["k2"]


async def test_strange_keys_cause_one_visit_in_ten_seconds() -> None:
    world = World()
    await world.names("k1")
    for number in range(20):
        assert await world.refuses(f"made-up-{number}")
    assert world.fetched == 2
    await world.clock.advance(10)
    world.keys.append(key("k2"))
    assert await world.names("k2") == ["k2"]
    assert world.fetched == 3


async def test_an_issuer_that_is_down_is_tried_again_after_ten_seconds() -> None:
    world = World()
    world.down = True
    for _ in range(5):
        assert await world.refuses("k1")
    assert world.visits.total() == 1
    world.down = False
    await world.clock.advance(10)
    assert await world.names("k1") == ["k1"]


async def test_old_keys_count_while_the_issuer_is_down() -> None:
    world = World()
    await world.names("k1")
    world.down = True
    await world.clock.advance(7200)
    assert await world.names("k1") == ["k1"]


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example.com", "jwks_uri": f"{URL}/keys"},
        {"issuer": URL, "jwks_uri": "http://issuer.example.com/keys"},
        {"issuer": URL},
        [],
        None,
    ],
)
async def test_documents_that_cannot_be_right(discovery: Any) -> None:
    world = World()
    world.discovery = discovery
    assert await world.refuses("k1")
    assert world.fetched == 0


async def test_keys_that_verify_nothing_are_left_out() -> None:
    world = World()
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"}
    broken = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "broken"}
    world.keys = [secret, key("for-encryption", use="enc"), broken, {"kty": "RSA"}, 7, key("good", use="sig")]
    assert await world.names() == ["good"]
