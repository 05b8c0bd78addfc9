"""The ledger that keeps controllers from making a child twice; it belongs to the controllers, over the tiny server."""

import asyncio
from random import Random

import aiohttp
import pytest

from k8slite import errors
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.children import Ledger
from k8slite.controllers.context import Context, Informers
from k8slite.controllers.pods import PODS, Pod
from k8slite.informer import Informer
from k8slite.kinds.base import ObjectMeta
from k8slite.ownership import controller_reference

OWNER = Pod(api_version="v1", kind="Pod", metadata=ObjectMeta(name="web", namespace="default", uid="u1"))
PATH = "/api/v1/namespaces/default/pods"


def body(name):
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return {"metadata": metadata | {"ownerReferences": [controller_reference(OWNER)]}}


@pytest.fixture
async def informer(client):
    made = Informer(client, PODS, clock=SystemClock())
    task = asyncio.create_task(made.run())
    await made.wait_synced()
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def context(client, tmp_path):
    clock = SystemClock()
    config = ControllerManagerConfig(kubeconfig=tmp_path / "unused")
    return Context(client, Informers(client, clock=clock), None, clock, config, Random(1))


async def test_an_answer_lost_makes_no_second_child(api, context, informer):
    ledger = Ledger(informer)
    api.lose_next = 1
    await ledger.create(context, OWNER, body, prefix="web")
    assert len(api.objects) == 1


@pytest.mark.parametrize("fault", ["network", "server"])
async def test_a_creation_that_nobody_knows_the_end_of_is_tried_again_by_the_same_name(api, context, informer, fault):
    ledger = Ledger(informer)
    api.mute = True  # the cache sees nothing of it
    api.lose_next = 2 if fault == "network" else 0
    api.fail_next = [errors.internal("the store did not answer")] if fault == "server" else []
    with pytest.raises((aiohttp.ClientError, errors.ApiError)):
        await ledger.create(context, OWNER, body, prefix="web")
    made = await ledger.create(context, OWNER, body, prefix="web")
    assert list(api.objects) == [f"{PATH}/{made.name}"]


async def test_a_sync_waits_for_the_cache(api, context, informer):
    ledger = Ledger(informer)
    made = await ledger.create(context, OWNER, body, prefix="web")
    assert await ledger.settle("default/web") == frozenset()
    assert informer.get(f"default/{made.name}")
    ledger.deleted("default/web", made)
    assert await ledger.settle("default/web") == {made.uid}
    await api.remove(f"{PATH}/{made.name}")
    async with asyncio.timeout(10):
        while await ledger.settle("default/web"):  # noqa: ASYNC110 - the state is the server's
            await asyncio.sleep(0.005)


async def test_a_store_that_was_replaced_does_not_block_an_owner_for_ever(api, context, informer):
    ledger = Ledger(informer)
    api.mute = True
    await api.cut_watches()
    await ledger.create(context, OWNER, body, prefix="web")
    api.mute = False
    api.replace_store()
    await api.cut_watches()
    async with asyncio.timeout(10):
        await ledger.settle("default/web")
