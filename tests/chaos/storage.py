"""Claims and local volumes for a controller manager that dies while it makes, binds, grows and removes them."""

from __future__ import annotations

from typing import Any

from k8slite.kinds.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICE_ACCOUNTS,
    STORAGE_CLASSES,
)
from k8slite.kinds.storage import PersistentVolume, PersistentVolumeClaim

from .pieces import Cluster, make_namespace, template_of


def _asked(class_: str, size: str) -> dict[str, Any]:
    return {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": class_,
        "resources": {"requests": {"storage": size}},
    }


async def storage(cluster: Cluster, name: str) -> None:
    """Each claim gets one volume and keeps it, each volume has one claim, and nothing is left of them in the end."""
    ns, client, count = f"a-piece-{name}", cluster.client, max(cluster.replicas // 5, 4)
    await make_namespace(cluster, ns)

    async def account() -> bool:
        return bool((await client.list(SERVICE_ACCOUNTS, namespace=ns)).items)

    await cluster.until(account)
    body = {"metadata": {"name": ns}, "provisioner": "k8slite.io/local", "allowVolumeExpansion": True}
    waits = cluster.chance.random() < 0.5
    await client.create(
        STORAGE_CLASSES, {**body, "volumeBindingMode": "WaitForFirstConsumer" if waits else "Immediate"}
    )
    wanted = 2 * count if waits else count  # volumes that wait for no pod may be on different nodes: one for each pod
    for number in range(count):
        await client.create(
            PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": f"c{number}"}, "spec": _asked(ns, "1Gi")}, namespace=ns
        )
        volumes: list[dict[str, Any]] = [{"name": "named", "persistentVolumeClaim": {"claimName": f"c{number}"}}]
        if waits:
            volumes.append({"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": _asked(ns, "1Gi")}}})
        pod = template_of({}, command="serve", volumes=volumes, terminationGracePeriodSeconds=0)
        await client.create(PODS, {**pod, "metadata": {"name": f"p{number}"}}, namespace=ns)

    async def claims() -> list[PersistentVolumeClaim]:
        return (await client.list(PERSISTENT_VOLUME_CLAIMS, namespace=ns)).items

    async def volumes_of_ours() -> dict[str, PersistentVolume]:
        found = (await client.list(PERSISTENT_VOLUMES)).items
        return {each.name: each for each in found if each.spec.storage_class_name == ns}

    async def bound() -> list[PersistentVolumeClaim] | None:
        found = await claims()
        ready = len(found) == wanted and all(each.status.phase == "Bound" for each in found)
        return found if ready else None

    found: list[PersistentVolumeClaim] = await cluster.until(bound)
    made = await volumes_of_ours()
    assert made.keys() == {each.spec.volume_name for each in found}
    assert len(made) == wanted
    for each in found:
        reference = made[each.spec.volume_name].spec.claim_ref
        assert reference is not None
        assert reference.uid == each.uid
    seen = cluster.pods[ns]
    await cluster.shows(lambda: sum(pod.status.phase == "Running" for pod in seen.living.values()) == count)
    grow = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
    for number in range(count):
        await client.patch(PERSISTENT_VOLUME_CLAIMS, f"c{number}", grow, namespace=ns)

    async def grown() -> bool:
        found = [each for each in await claims() if not each.metadata.owner_references]
        told = [each.status.capacity == {"storage": "3Gi"} and not each.status.conditions for each in found]
        return all(told) and len(told) == count

    await cluster.until(grown)
    assert (await volumes_of_ours()).keys() == made.keys()
    sizes = sorted(str(each.spec.capacity["storage"]) for each in (await volumes_of_ours()).values())
    assert sizes == ["1Gi"] * (wanted - count) + ["3Gi"] * count
    await cluster.remove(ns)

    async def nothing() -> bool:
        return not await volumes_of_ours()

    await cluster.until(nothing)
    await client.delete(STORAGE_CLASSES, ns)
