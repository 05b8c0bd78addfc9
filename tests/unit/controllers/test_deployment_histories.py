"""Random histories of a Deployment and its ReplicaSets: the real syncs, caches that lag, writes that fail, crashes."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from .deployment_world import MOST, World, deployment, pods_of
from .fake_api import Fault

faults = st.dictionaries(st.integers(0, 5), st.sampled_from(Fault), max_size=1)
number = st.integers(0, 2 * MOST)
quiet = [
    st.tuples(st.just("look"), st.sampled_from(["deployments", "replicasets"]), faults),
    st.tuples(st.just("look"), st.sampled_from(["deployments", "replicasets"]), st.just({})),
    st.tuples(st.just("catch up"), st.sampled_from(["", "", "pods", "deployments", "replicasets"])),
    st.tuples(st.just("turns"), st.integers(1, 5), st.booleans()),
    st.tuples(st.just("kubelet"), number, st.just("ready")),
    st.tuples(st.just("image"), st.integers(0, 3)),
    st.tuples(st.just("turns"), st.integers(3, 6), st.just(False)),
    st.tuples(st.just("time"), st.integers(1, 10)),
]
loud = [
    st.tuples(st.just("kubelet"), number, st.sampled_from(["unready", "Failed", "Succeeded"])),
    st.tuples(st.just("delete"), number),
    st.tuples(st.just("scale"), st.integers(0, MOST)),
    st.tuples(st.just("pause"), st.booleans()),
]
histories = st.one_of(
    st.lists(st.one_of(quiet), min_size=15, max_size=40), st.lists(st.one_of(quiet + loud), min_size=15, max_size=40)
)
counts = st.sampled_from([0, 1, 2, "25%", "50%", "100%"])
deployments = st.builds(
    deployment,
    replicas=st.integers(0, MOST),
    recreate=st.sampled_from([False, False, True]),
    surge=counts,
    unavailable=counts,
    seconds=st.sampled_from([0, 0, 3]),
    taken=st.booleans(),
)


async def live(world: World, history: list[tuple[Any, ...]]) -> None:
    for step in history:
        match step:
            case ("look", kind, wrong):
                await world.look(kind, wrong)
            case ("catch up", plural):
                world.catch_up(plural)
            case ("turns", many, kubelets):
                for _ in range(many):
                    await world.turn()
                    for index in reversed(range(len(world.pods()))) if kubelets else ():
                        world.kubelet(index, "ready")
            case ("kubelet", index, what):
                world.kubelet(index, what)
            case ("delete", index):
                world.user_deletes(index)
            case ("image", image):
                world.change(template=pods_of(image))
            case ("scale", replicas):
                world.change(replicas=replicas)
            case ("pause", paused):
                world.change(paused=paused)
            case ("time", seconds):
                await world.api.clock.advance(seconds)


def check_rest(world: World) -> None:
    """What must be once all is quiet."""
    document, model = world.document, world.model
    wanted, image = model.spec.replicas, model.spec.template.spec["containers"][0]["image"]
    pods = world.pods()
    alive = [pod for pod in pods if pod["status"]["phase"] not in ("Failed", "Succeeded")]
    assert [pod["spec"]["containers"][0]["image"] for pod in alive] == [image] * wanted
    sets = world.sets()
    images = [rs["spec"]["template"]["spec"]["containers"][0]["image"] for rs in sets]
    assert len(set(images)) == len(images), "two ReplicaSets of one template"
    [new] = [rs for rs, one in zip(sets, images, strict=True) if one == image]
    assert {rs["metadata"]["name"]: rs["spec"]["replicas"] for rs in sets if rs["spec"]["replicas"]} == (
        {new["metadata"]["name"]: wanted} if wanted else {}
    )
    assert len(sets) <= 1 + model.spec.revision_history_limit
    revisions = [int(rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for rs in sets]
    assert len(set(revisions)) == len(revisions)
    newest = new["metadata"]["annotations"]
    assert int(newest["deployment.kubernetes.io/revision"]) == max(revisions)
    assert newest["deployment.kubernetes.io/desired-replicas"] == str(wanted)
    annotations = document["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == newest["deployment.kubernetes.io/revision"]
    status = model.status
    assert status.observed_generation == model.metadata.generation
    assert status.replicas == status.updated_replicas == status.ready_replicas == status.available_replicas == wanted
    assert (status.unavailable_replicas, status.terminating_replicas) == (0, 0)
    told = {condition.type: (condition.status, condition.reason) for condition in status.conditions}
    assert told == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


@settings(max_examples=200, deadline=None)
@given(document=deployments, old=st.booleans(), history=histories)
def test_whatever_happens_it_comes_to_what_is_asked_for_within_its_limits(
    document: dict[str, Any], old: bool, history: list[tuple[Any, ...]]
):
    async def run() -> None:
        world = World(document)
        if old:
            await world.settle()
        await live(world, history)
        await world.settle()
        check_rest(world)

    asyncio.run(run())
