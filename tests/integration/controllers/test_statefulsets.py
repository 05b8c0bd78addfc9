"""StatefulSets over a real server: pods by number, one after the other or all at once, and what stays theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from k8slite.clock import timestamp
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import (
    CONTROLLER_REVISIONS,
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    STATEFUL_SETS,
)

LABELS = {"app": "db"}
CLAIM = {
    "metadata": {"name": "data", "labels": {"kept": "yes"}},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def statefulset(image: str = "db:1", *, replicas: int = 3, claims: bool = False, **spec: Any) -> dict[str, Any]:
    pod = {"containers": [{"name": "c", "image": image}], "terminationGracePeriodSeconds": 5}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "labels": LABELS},
        "spec": {
            "replicas": replicas,
            "serviceName": "dbs",
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
            "volumeClaimTemplates": [CLAIM] if claims else [],
            **spec,
        },
    }


def image_patch(image: str, **spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}, **spec}}


async def create(cluster, *arguments: Any, **spec: Any) -> Any:
    return await cluster.client.create(STATEFUL_SETS, statefulset(*arguments, **spec), namespace="default")


async def patch(cluster, body: dict[str, Any]) -> Any:
    return await cluster.client.patch(STATEFUL_SETS, "db", body, namespace="default")


async def images(cluster) -> dict[str, str]:
    pods = await cluster.list(PODS, "app=db")
    return {pod.name: pod.spec.containers[0].image for pod in pods if not pod.deleting}


async def rolled_out(cluster, *wanted: str) -> Any:
    """Wait until the pods from number 0 on have these images and are ready, and the status says so."""

    async def look():
        found = await cluster.get(STATEFUL_SETS, "db")
        status = found.status
        done = status.observed_generation == found.metadata.generation and status.available_replicas == len(wanted)
        return found if done and await images(cluster) == {f"db-{n}": image for n, image in enumerate(wanted)} else None

    return await cluster.until(look)


async def completed(cluster, *wanted: str) -> Any:
    """Wait until the pods have these images, and the status says that no update goes on."""
    await rolled_out(cluster, *wanted)

    async def look():
        found = await cluster.get(STATEFUL_SETS, "db")
        status = found.status
        whole = {status.replicas, status.ready_replicas, status.available_replicas} == {len(wanted)}
        return found if whole and status.updated_replicas == status.current_replicas == len(wanted) else None

    return await cluster.until(look)


async def set_ready(cluster, name: str, ready: bool) -> None:
    now = timestamp(cluster.puppets.clock.now())
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}
    body = {"status": {"conditions": [condition]}}
    await cluster.client.patch(PODS, name, body, namespace="default", subresource="status")


@contextlib.asynccontextmanager
async def recorded(cluster) -> AsyncIterator[list[str]]:
    """What happens to pods meanwhile: `+db-0` is made, `!db-0` is ready, `-db-0` is being deleted, `x` is gone."""
    listing = await cluster.client.list(PODS, namespace="default")
    log: list[str] = []
    last = {pod.name: pod for pod in listing.items}

    async def watch() -> None:
        events = cluster.client.watch(PODS, namespace="default", resource_version=listing.resource_version)
        async for event in events:
            pod: Pod = event.object
            if event.type == "BOOKMARK":
                continue
            before = last.get(pod.name)
            if event.type == "ADDED":
                log.append(f"+{pod.name}")
            if pod.deleting and not (before and before.deleting):
                log.append(f"-{pod.name}")
            elif pod.ready and not (before and before.ready):
                log.append(f"!{pod.name}")
            if event.type == "DELETED":
                log.append(f"x{pod.name}")
                del last[pod.name]
            else:
                last[pod.name] = pod

    task = asyncio.create_task(watch())
    try:
        yield log
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_logged(cluster, log: list[str], word: str) -> None:
    async def look():
        return word in log

    await cluster.until(look)


async def test_pods_come_one_after_the_other_and_go_from_the_top(cluster):
    async with recorded(cluster) as log:
        await create(cluster)
        done = await completed(cluster, "db:1", "db:1", "db:1")
        await until_logged(cluster, log, "!db-2")
        assert log == ["+db-0", "!db-0", "+db-1", "!db-1", "+db-2", "!db-2"]
        status = done.status
        assert status.replicas == status.ready_replicas == status.current_replicas == status.updated_replicas == 3
        assert status.current_revision == status.update_revision != ""
        assert status.collision_count == 0
        log.clear()
        await patch(cluster, {"spec": {"replicas": 1}})
        await until_logged(cluster, log, "xdb-1")
        assert log == ["-db-2", "xdb-2", "-db-1", "xdb-1"]
    pod = await cluster.get(PODS, "db-0")
    revision = done.status.update_revision
    assert pod.metadata.labels == LABELS | {
        "statefulset.kubernetes.io/pod-name": "db-0",
        "apps.kubernetes.io/pod-index": "0",
        "controller-revision-hash": revision,
    }
    assert (pod.spec.hostname, pod.spec.subdomain) == ("db-0", "dbs")
    assert pod.metadata.generate_name == "db-"
    await rolled_out(cluster, "db:1")

    async def told():
        said = {(event.reason, event.message) for event in await cluster.list(EVENTS)}
        return {
            ("SuccessfulCreate", "create Pod db-0 in StatefulSet db successful"),
            ("SuccessfulDelete", "delete Pod db-2 in StatefulSet db successful"),
        } <= said

    await cluster.until(told)


async def test_scaling_halts_where_a_pod_is_unhealthy(cluster):
    await create(cluster)
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    await set_ready(cluster, "db-1", False)
    async with recorded(cluster) as log:
        await patch(cluster, {"spec": {"replicas": 4}})

        async def seen():
            found = await cluster.get(STATEFUL_SETS, "db")
            return found.status.observed_generation == found.metadata.generation and found.status.ready_replicas == 2

        await cluster.until(seen)
        await patch(cluster, {"spec": {"replicas": 2}})
        await cluster.until(seen)
        assert log == []
        await set_ready(cluster, "db-1", True)
        await until_logged(cluster, log, "xdb-2")
    await rolled_out(cluster, "db:1", "db:1")


async def test_parallel_pods_come_and_go_together_healthy_or_not(cluster):
    await create(cluster, "bad:1", podManagementPolicy="Parallel")

    async def there(count: int) -> Any:
        async def look():
            pods = await cluster.list(PODS, "app=db")
            return len(pods) == count and all(pod.status.phase == "Running" for pod in pods)

        return await cluster.until(look)

    await there(3)
    await patch(cluster, {"spec": {"replicas": 6}})
    await there(6)
    await patch(cluster, {"spec": {"replicas": 0}})
    await there(0)


async def test_a_pod_that_has_failed_is_made_again(cluster):
    await create(cluster, replicas=2)
    await rolled_out(cluster, "db:1", "db:1")
    for phase in ("Failed", "Succeeded"):
        first = await cluster.get(PODS, "db-0")
        body = {"status": {"phase": phase, "reason": "Evicted"}}
        await cluster.client.patch(PODS, "db-0", body, namespace="default", subresource="status")

        async def again(first=first):
            found = await cluster.get(PODS, "db-0")
            return found is not None and found.uid != first.uid and found.ready

        await cluster.until(again)
    await rolled_out(cluster, "db:1", "db:1")


async def test_an_update_goes_down_and_back(cluster):
    await create(cluster)
    first = await completed(cluster, "db:1", "db:1", "db:1")
    async with recorded(cluster) as log:
        await patch(cluster, image_patch("db:2"))
        second = await completed(cluster, "db:2", "db:2", "db:2")
        await until_logged(cluster, log, "!db-0")
        steps = [f"{what}db-{number}" for number in (2, 1, 0) for what in "-x+!"]
        assert log == steps
        assert second.status.current_revision == second.status.update_revision != first.status.current_revision
        log.clear()
        await patch(cluster, image_patch("db:1"))
        back = await completed(cluster, "db:1", "db:1", "db:1")
        await until_logged(cluster, log, "!db-0")
        assert log == steps
    assert back.status.current_revision == first.status.current_revision
    history = {item.name: item.revision for item in await cluster.list(CONTROLLER_REVISIONS)}
    assert history == {first.status.current_revision: 3, second.status.current_revision: 2}


async def test_a_partition_keeps_the_lower_pods(cluster):
    def rolling(partition: int) -> dict[str, Any]:
        return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}

    await create(cluster, **rolling(3))
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    await patch(cluster, image_patch("db:2"))

    async def observed():
        found = await cluster.get(STATEFUL_SETS, "db")
        status = found.status
        return found if status.update_revision != status.current_revision else None

    found = await cluster.until(observed)
    assert (found.status.current_replicas, found.status.updated_replicas) == (3, 0)
    await patch(cluster, {"spec": rolling(2)})
    await rolled_out(cluster, "db:1", "db:1", "db:2")
    for name in ("db-0", "db-2"):
        await cluster.client.delete(PODS, name, namespace="default")
    canary = await rolled_out(cluster, "db:1", "db:1", "db:2")
    assert canary.status.current_revision != canary.status.update_revision
    await patch(cluster, {"spec": rolling(1)})
    await rolled_out(cluster, "db:1", "db:2", "db:2")
    await patch(cluster, {"spec": rolling(0)})
    done = await completed(cluster, "db:2", "db:2", "db:2")
    assert done.status.current_revision == done.status.update_revision
    assert done.status.update_revision == canary.status.update_revision


async def test_on_delete_waits_for_the_user(cluster):
    await create(cluster, updateStrategy={"type": "OnDelete"})
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    await patch(cluster, image_patch("db:2"))
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    await cluster.client.delete(PODS, "db-1", namespace="default")
    await rolled_out(cluster, "db:1", "db:2", "db:1")


async def test_a_broken_update_needs_a_hand_to_go_back(cluster):
    """A known issue that is documented as Forced Rollback: the pod that never gets ready must be deleted by hand."""
    await create(cluster)
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    await patch(cluster, image_patch("bad:1"))

    async def broken():
        return (await images(cluster)).get("db-2") == "bad:1"

    await cluster.until(broken)
    await patch(cluster, image_patch("db:1"))

    async def observed():
        found = await cluster.get(STATEFUL_SETS, "db")
        status = found.status
        seen = status.observed_generation == found.metadata.generation
        return seen and status.update_revision == status.current_revision

    await cluster.until(observed)
    assert await images(cluster) == {"db-0": "db:1", "db-1": "db:1", "db-2": "bad:1"}
    await cluster.client.delete(PODS, "db-2", namespace="default")
    await rolled_out(cluster, "db:1", "db:1", "db:1")


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
async def test_several_may_be_down_for_an_update(cluster, policy):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}
    await create(cluster, replicas=5, updateStrategy=rolling, podManagementPolicy=policy)
    await rolled_out(cluster, *["db:1"] * 5)
    async with recorded(cluster) as log:
        await patch(cluster, image_patch("db:2"))
        await rolled_out(cluster, *["db:2"] * 5)
        down = most = 0
        for what in list(log):
            down += {"-": 1, "!": -1}.get(what[0], 0)
            most = max(most, down)
        assert most == 2
        assert set(log[:2]) == {"-db-4", "-db-3"}


async def test_numbers_may_begin_elsewhere(cluster):
    await create(cluster, replicas=2, ordinals={"start": 5})

    async def named(*numbers: int) -> Any:
        async def look():
            pods = await cluster.list(PODS, "app=db")
            return sorted(pod.name for pod in pods if pod.ready) == [f"db-{number}" for number in numbers]

        return await cluster.until(look)

    await named(5, 6)
    await patch(cluster, {"spec": {"ordinals": {"start": 4}}})
    await named(4, 5)


async def test_a_pod_must_be_ready_for_a_while_before_the_next(cluster):
    await create(cluster, replicas=2, minReadySeconds=1)
    async with recorded(cluster) as log:
        await rolled_out(cluster, "db:1", "db:1")
    first, second = [await cluster.get(PODS, name) for name in ("db-0", "db-1")]
    assert log[-1] == "!db-1"
    assert (second.metadata.creation_timestamp - first.metadata.creation_timestamp).total_seconds() >= 1


async def test_claims_come_before_their_pods_and_stay(cluster):
    await create(cluster, claims=True)
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    claims = await cluster.list(PERSISTENT_VOLUME_CLAIMS)
    assert sorted(claim.name for claim in claims) == ["data-db-0", "data-db-1", "data-db-2"]
    assert all(claim.metadata.labels == LABELS | {"kept": "yes"} for claim in claims)
    assert all(not claim.metadata.owner_references for claim in claims)
    pod = await cluster.get(PODS, "db-1")
    volume = pod.spec.volumes[0]
    assert (volume.name, volume.persistent_volume_claim.claim_name) == ("data", "data-db-1")
    await patch(cluster, {"spec": {"replicas": 1}})
    await rolled_out(cluster, "db:1")
    await cluster.client.delete(STATEFUL_SETS, "db", namespace="default", propagation="Foreground")

    async def gone():
        return await cluster.get(STATEFUL_SETS, "db") is None and not await cluster.list(PODS)

    await cluster.until(gone)
    left = await cluster.list(PERSISTENT_VOLUME_CLAIMS)
    assert {claim.uid for claim in left} == {claim.uid for claim in claims}


async def test_claims_go_with_their_numbers_and_with_the_set(cluster):
    both = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    await create(cluster, claims=True, persistentVolumeClaimRetentionPolicy=both)
    done = await rolled_out(cluster, "db:1", "db:1", "db:1")

    async def owned_by(*uids: str) -> Any:
        async def look():
            claims = await cluster.list(PERSISTENT_VOLUME_CLAIMS)
            owners = [owner for claim in claims for owner in claim.metadata.owner_references]
            return [owner.uid for owner in owners] == [*uids] and all(owner.controller for owner in owners)

        return await cluster.until(look)

    await owned_by(done.uid, done.uid, done.uid)
    await patch(cluster, {"spec": {"replicas": 2}})
    await owned_by(done.uid, done.uid)
    await patch(cluster, {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain"}}})
    await owned_by()
    assert len(await cluster.list(PERSISTENT_VOLUME_CLAIMS)) == 2
    await patch(cluster, {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}})
    await owned_by(done.uid, done.uid)
    await cluster.client.delete(STATEFUL_SETS, "db", namespace="default", propagation="Background")

    async def gone():
        return not await cluster.list(PODS) and not await cluster.list(PERSISTENT_VOLUME_CLAIMS)

    await cluster.until(gone)


async def test_a_claim_on_its_way_out_is_waited_for_and_a_lost_one_made_again(cluster):
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **CLAIM}
    claim["metadata"] = {"name": "data-db-0", "finalizers": ["example.com/hold"]}
    held = await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim, namespace="default")
    await cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, "data-db-0", namespace="default")
    await create(cluster, claims=True, replicas=1)

    async def told():
        events = await cluster.list(EVENTS)
        return any("pvc data-db-0 is being deleted" in event.message for event in events)

    await cluster.until(told)
    assert await cluster.list(PODS) == []
    free = {"metadata": {"finalizers": None}}
    await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, "data-db-0", free, namespace="default")
    await rolled_out(cluster, "db:1")
    made = await cluster.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0")
    assert made.uid != held.uid


async def test_orphans_are_taken_over_and_strangers_let_go(cluster):
    await create(cluster)
    before = await completed(cluster, "db:1", "db:1", "db:1")
    pods = {pod.uid for pod in await cluster.list(PODS)}
    await cluster.client.delete(STATEFUL_SETS, "db", namespace="default", propagation="Orphan")

    async def orphaned():
        found = await cluster.list(PODS)
        freed = len(found) == 3 and not any(pod.metadata.owner_references for pod in found)
        return freed and await cluster.get(STATEFUL_SETS, "db") is None

    await cluster.until(orphaned)
    again = await create(cluster)
    after = await completed(cluster, "db:1", "db:1", "db:1")
    assert {pod.uid for pod in await cluster.list(PODS)} == pods
    assert after.status.current_revision == before.status.current_revision

    await cluster.client.patch(PODS, "db-1", {"metadata": {"labels": {"app": "other"}}}, namespace="default")

    async def released():
        found = await cluster.get(PODS, "db-1")
        return not found.metadata.owner_references

    await cluster.until(released)
    await cluster.client.delete(PODS, "db-1", namespace="default", grace_period=0)
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    assert (await cluster.get(PODS, "db-1")).metadata.controller.uid == again.uid


async def test_a_label_that_was_lost_comes_back(cluster):
    await create(cluster, replicas=1)
    await rolled_out(cluster, "db:1")
    await cluster.client.patch(
        PODS, "db-0", {"metadata": {"labels": {"statefulset.kubernetes.io/pod-name": None}}}, namespace="default"
    )

    async def labelled():
        found = await cluster.get(PODS, "db-0")
        return found.metadata.labels.get("statefulset.kubernetes.io/pod-name") == "db-0"

    await cluster.until(labelled)
    old = (await images(cluster), (await cluster.get(PODS, "db-0")).uid)
    assert old[0] == {"db-0": "db:1"}
