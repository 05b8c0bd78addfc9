"""Names of children, and creations of which nobody heard how they ended."""

from __future__ import annotations

from random import Random
from typing import Any

import aiohttp
import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.children import Ledger, batches
from k8slite.controllers.context import Context
from k8slite.controllers.pods import PODS, Pod
from k8slite.informer import Informer

from .builders import replicaset


class LosesAnswers:
    """An API that makes what it is asked for and answers only where it may."""

    def __init__(self) -> None:
        self.answers = False
        self.asked: list[str] = []

    async def create(self, resource: Any, body: dict[str, Any], *, namespace: str) -> Pod:
        self.asked.append(body["metadata"]["name"])
        if not self.answers:
            raise aiohttp.ClientConnectionError
        return Pod.model_validate({"metadata": body["metadata"] | {"resourceVersion": "1"}})


def test_batches_double() -> None:
    assert [len(batch) for batch in batches(12)] == [1, 2, 4, 5]
    assert [number for batch in batches(12) for number in batch] == list(range(12))
    assert batches(0) == []


async def test_a_name_that_may_be_taken_is_tried_again_for_the_same_place(tmp_path: Any) -> None:
    api: Any = LosesAnswers()
    client: Client = api
    informer = Informer(client, PODS, clock=SystemClock())
    nothing: Any = None
    context = Context(
        client, nothing, nothing, SystemClock(), ControllerManagerConfig(kubeconfig=tmp_path / "none"), Random(1)
    )
    ledger, owner = Ledger(informer), replicaset()

    def body(name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "default"}}

    with pytest.raises(aiohttp.ClientError):
        await ledger.create(context, owner, body, prefix="web", place="n1")
    lost = api.asked[0]
    api.answers = True
    elsewhere = await ledger.create(context, owner, body, prefix="web", place="n2")
    again = await ledger.create(context, owner, body, prefix="web", place="n1")
    another = await ledger.create(context, owner, body, prefix="web", place="n1")
    assert again.name == lost
    assert len({lost, elsewhere.name, another.name}) == 3
