from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.kinds.core import Secret
from k8slite.kubelet.images import Images, credentials, registry_of
from k8slite.kubelet.plan import Waiting
from k8slite.kubelet.runtime.base import Image, ImagePullFault, RuntimeFault

from .builders import pod


class Registry:
    """A runtime that holds no image and pulls as the test says."""

    def __init__(self) -> None:
        self.local: dict[str, Image] = {}
        self.remote: dict[str, Image] = {}
        self.pulls = 0

    async def image(self, reference: str) -> Image | None:
        return self.local.get(reference)

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> Image:
        self.pulls += 1
        if reference not in self.remote:
            raise ImagePullFault(f"no {reference}")
        return self.remote[reference]


class Said:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def record(self, about: Any, *, message: str, **_: Any) -> None:
        self.messages.append(message)


class Rig:
    def __init__(self) -> None:
        self.clock, self.registry, self.events = VirtualClock(), Registry(), Said()
        self.images = Images(self.registry, clock=self.clock, events=self.events)  # type: ignore[arg-type]

        self.woken = asyncio.Event()

    async def ensure(self, policy: str = "IfNotPresent") -> Image | Waiting:
        of = pod(main={"imagePullPolicy": policy, "image": "r.example/x:1"})
        return await self.images.ensure(of.spec.containers[0], pod=of, attempt=0, secrets={}, wake=self.woken.set)

    async def ensure_pulled(self, policy: str = "IfNotPresent") -> Image | Waiting:
        """What there is once a pull has ended."""
        self.woken.clear()
        await self.ensure(policy)
        async with asyncio.timeout(5):
            await self.woken.wait()
        return await self.ensure(policy)


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_local_image_is_used_unless_it_must_always_be_pulled(rig: Rig) -> None:
    rig.registry.local["r.example/x:1"] = Image("local")
    rig.registry.remote["r.example/x:1"] = Image("remote")
    assert await rig.ensure() == Image("local")
    assert await rig.ensure_pulled("Always") == Image("remote")


async def test_never_says_so(rig: Rig) -> None:
    message = 'Container image "r.example/x:1" is not present with pull policy of Never'
    assert await rig.ensure("Never") == Waiting("ErrImageNeverPull", message)


async def test_a_failed_pull_backs_off_and_is_tried_again(rig: Rig) -> None:
    assert await rig.ensure_pulled() == Waiting("ErrImagePull", "no r.example/x:1")
    waiting = await rig.ensure()
    assert isinstance(waiting, Waiting)
    assert waiting.reason == "ImagePullBackOff"
    assert rig.registry.pulls == 1
    assert rig.images.retry_in("u1", ["r.example/x:1"]) == 10.0
    await rig.clock.advance(10)
    await rig.ensure_pulled()
    assert rig.registry.pulls == 2
    assert rig.images.retry_in("u1", ["r.example/x:1"]) == 20.0
    rig.registry.remote["r.example/x:1"] = Image("remote")
    await rig.clock.advance(20)
    assert await rig.ensure_pulled() == Image("remote")
    assert 'Pulling image "r.example/x:1"' in rig.events.messages


async def test_an_image_that_was_replaced_is_not_waited_for(rig: Rig) -> None:
    await rig.ensure_pulled()
    await rig.clock.advance(60)
    assert rig.images.retry_in("u1", ["r.example/good:1"]) is None


async def test_a_name_that_is_none_is_said(rig: Rig) -> None:
    async def refuse(reference: str) -> Image | None:
        raise RuntimeFault("invalid reference format")

    rig.registry.image = refuse  # type: ignore[method-assign]
    for policy in ("Always", "IfNotPresent"):
        waiting = await rig.ensure(policy)
        assert isinstance(waiting, Waiting)
        assert waiting.reason == "InvalidImageName"
    assert rig.registry.pulls == 0


async def test_a_slow_pull_holds_nobody_up(rig: Rig) -> None:
    gate = asyncio.Event()

    async def slow(reference: str, *, auth: Any = None) -> Image:
        await gate.wait()
        return Image("late")

    rig.registry.pull = slow  # type: ignore[method-assign]
    assert await rig.ensure() == Waiting("ContainerCreating")
    assert await rig.ensure() == Waiting("ContainerCreating")
    gate.set()
    async with asyncio.timeout(5):
        await rig.woken.wait()
    assert await rig.ensure() == Image("late")


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("busybox", "docker.io"),
        ("me/app:1", "docker.io"),
        ("r.example/x", "r.example"),
        ("localhost:5000/x", "localhost:5000"),
    ],
)
def test_the_registry_of_a_reference(reference: str, host: str) -> None:
    assert registry_of(reference) == host


def test_credentials_come_from_the_secret_of_that_registry() -> None:
    logins = {
        "auths": {"https://index.docker.io/v1/": {"username": "hub", "password": "p"}, "r.example": {"auth": "dTpw"}}
    }
    encoded = base64.b64encode(json.dumps(logins).encode()).decode()
    secret = Secret.model_validate({"metadata": {"name": "s"}, "data": {".dockerconfigjson": encoded}})
    assert credentials("busybox", [secret]) == {"username": "hub", "password": "p"}
    assert credentials("r.example/x:1", [secret]) == {"username": "u", "password": "p"}
    assert credentials("other.example/x:1", [secret]) is None


def test_secrets_that_cannot_be_read_are_passed_over_and_the_old_form_is_known() -> None:
    def secret(**data: str) -> Secret:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        return Secret.model_validate({"metadata": {"name": "s"}, "data": encoded})

    broken = [
        secret(**{".dockerconfigjson": text})
        for text in ("no json", "[]", '{"auths": {"r.example": "x"}}', '{"auths": {"r.example": {"auth": "\u00e4"}}}')
    ]
    old = secret(**{".dockercfg": '{"r.example": {"auth": "dTpw"}}'})
    assert credentials("r.example/x:1", [*broken, secret(), old]) == {"username": "u", "password": "p"}
