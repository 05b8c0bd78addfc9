"""ControllerRevisions over a real server: made once, numbered anew, taken over, let go, and dropped when too many."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from k8slite import selectors
from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.controllers import revisions
from k8slite.controllers.children import BehindError
from k8slite.controllers.context import Context, Informers
from k8slite.controllers.history import History
from k8slite.kinds.apps import ControllerRevision, StatefulSet
from k8slite.kinds.resources import CONTROLLER_REVISIONS, STATEFUL_SETS
from k8slite.kinds.template import RawTemplate
from k8slite.testing import running_server

LABELS = {"app": "web"}
SELECTOR = selectors.from_object({"matchLabels": LABELS}) or selectors.EVERYTHING


def template(image: str) -> dict[str, Any]:
    return {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": image}]}}


@dataclass
class Rig:
    client: Client
    history: History[StatefulSet]
    owner: StatefulSet

    async def known(self) -> list[ControllerRevision]:
        return await self.history.claimed(self.owner, SELECTOR)

    async def newest(self, image: str, *, collisions: int = 0) -> tuple[ControllerRevision, int]:
        wanted = RawTemplate(template(image))
        return await self.history.newest(self.owner, wanted, await self.known(), collisions=collisions)

    async def stored(self) -> dict[str, int]:
        listed = await self.client.list(CONTROLLER_REVISIONS, namespace="default")
        return {item.name: item.revision for item in listed.items}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running_server(serviceaccounts=False) as server, contextlib.AsyncExitStack() as stack:
        admin = await stack.enter_async_context(Client(server.admin))
        acting = await stack.enter_async_context(Client(server.client_config("system:kube-controller-manager")))
        spec = {"selector": {"matchLabels": LABELS}, "serviceName": "web", "template": template("web:1")}
        body = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "web", "annotations": {"kubernetes.io/change-cause": "why not"}},
            "spec": spec,
        }
        owner = await admin.create(STATEFUL_SETS, body, namespace="default")
        informers = Informers(acting, clock=SystemClock())
        context = Context(acting, informers, None, SystemClock(), None)  # type: ignore[arg-type]
        history = History(context, STATEFUL_SETS)
        task = asyncio.create_task(informers.run())
        try:
            await informers.wait_synced()
            yield Rig(admin, history, owner)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_template_becomes_one_revision_and_goes_back_to_the_front(rig):
    first, collisions = await rig.newest("web:1")
    assert (first.revision, collisions) == (1, 0)
    assert first.metadata.labels["app"] == "web"
    assert first.name == f"web-{first.metadata.labels['controller.kubernetes.io/hash']}"
    assert first.metadata.annotations == {"kubernetes.io/change-cause": "why not"}
    assert first.metadata.controller is not None
    assert first.metadata.controller.uid == rig.owner.uid
    again, _ = await rig.newest("web:1")
    assert again.metadata.resource_version == first.metadata.resource_version
    second, _ = await rig.newest("web:2")
    assert second.revision == 2
    back, _ = await rig.newest("web:1")
    assert (back.name, back.revision) == (first.name, 3)
    assert await rig.stored() == {first.name: 3, second.name: 2}


async def test_a_creation_whose_answer_was_lost_is_found(rig):
    first, _ = await rig.newest("web:1")
    wanted = RawTemplate(template("web:1"))
    found, collisions = await rig.history.newest(rig.owner, wanted, [], collisions=0)
    assert (found.uid, collisions) == (first.uid, 0)


async def test_a_name_that_others_have_counts_as_a_collision(rig):
    data = revisions.data_of(RawTemplate(template("web:1")))
    name = revisions.name_of("web", revisions.hash_of(data, collisions=0))
    taken = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": name}, "data": {"a": 1}}
    await rig.client.create(CONTROLLER_REVISIONS, taken, namespace="default")
    made, collisions = await rig.newest("web:1")
    assert (made.name != name, collisions) == (True, 1)
    again, collisions = await rig.newest("web:1", collisions=1)
    assert (again.uid, collisions) == (made.uid, 1)


async def test_orphans_that_match_are_taken_over_and_strangers_let_go(rig):
    first, _ = await rig.newest("web:1")
    nobody = {"metadata": {"ownerReferences": None}}
    orphan = await rig.client.patch(CONTROLLER_REVISIONS, first.name, nobody, namespace="default")
    await rig.history.informer.wait_for_revision(orphan.key, orphan.metadata.resource_version)
    adopted = await rig.known()
    assert [item.metadata.controller.uid for item in adopted] == [rig.owner.uid]
    second, _ = await rig.newest("web:2")
    renamed = {"metadata": {"labels": {"app": "other"}}}
    stranger = await rig.client.patch(CONTROLLER_REVISIONS, second.name, renamed, namespace="default")
    await rig.history.informer.wait_for_revision(stranger.key, stranger.metadata.resource_version)
    assert [item.name for item in await rig.known()] == [first.name]
    released = await rig.client.get(CONTROLLER_REVISIONS, second.name, namespace="default")
    assert released.metadata.owner_references == []


async def test_an_orphan_that_the_cache_does_not_show_yet_is_waited_for(rig):
    first, _ = await rig.newest("web:1")
    nobody = {"metadata": {"ownerReferences": None}}
    await rig.client.patch(CONTROLLER_REVISIONS, first.name, nobody, namespace="default")
    wanted = RawTemplate(template("web:1"))
    with pytest.raises(BehindError):
        await rig.history.newest(rig.owner, wanted, [], collisions=0)
    assert await rig.stored() == {first.name: 1}


async def test_of_two_with_one_number_the_wanted_one_becomes_the_newest(rig):
    first, _ = await rig.newest("web:1")
    second, _ = await rig.newest("web:2")
    equal = await rig.client.patch(CONTROLLER_REVISIONS, first.name, {"revision": 2}, namespace="default")
    await rig.history.informer.wait_for_revision(equal.key, equal.metadata.resource_version)
    assert (await rig.newest("web:1"))[0].revision == 3
    assert await rig.stored() == {first.name: 3, second.name: 2}


async def test_an_owner_that_is_gone_takes_nothing_over(rig):
    first, _ = await rig.newest("web:1")
    nobody = {"metadata": {"ownerReferences": None}}
    orphan = await rig.client.patch(CONTROLLER_REVISIONS, first.name, nobody, namespace="default")
    await rig.history.informer.wait_for_revision(orphan.key, orphan.metadata.resource_version)
    await rig.client.delete(STATEFUL_SETS, "web", namespace="default", propagation="Orphan")
    with contextlib.suppress(Exception):
        await rig.known()
    left = await rig.client.get(CONTROLLER_REVISIONS, first.name, namespace="default")
    assert left.metadata.owner_references == []


async def test_old_revisions_are_dropped_but_not_those_in_use(rig):
    made = [(await rig.newest(f"web:{number}"))[0] for number in range(5)]
    await rig.history.trim(rig.owner, await rig.known(), live={made[0].name, made[4].name}, limit=1)
    assert set(await rig.stored()) == {made[0].name, made[3].name, made[4].name}
    assert [item.name for item in await rig.known()] == [made[0].name, made[3].name, made[4].name]
    await rig.history.trim(rig.owner, await rig.known(), live={made[4].name}, limit=0)
    assert set(await rig.stored()) == {made[4].name}
