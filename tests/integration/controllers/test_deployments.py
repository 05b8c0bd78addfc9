"""Deployments over a real server: what Kubernetes' conformance tests ask of them, and what users do with kubectl."""

from __future__ import annotations

from typing import Any

from k8slite.client import Patch
from k8slite.controllers.resourcequota.sync import QUOTAS
from k8slite.kinds.resources import DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS, SERVICE_ACCOUNTS

from .test_kubectl import kubectl
from .test_quota import quota
from .test_workloads import LABELS, deployment, image_patch, rolled_out

PATH = "/apis/apps/v1/namespaces/default/deployments"
REVISION = "deployment.kubernetes.io/revision"
ROLLBACK_TO = "deprecated.deployment.rollback.to"
RECREATE = {"type": "Recreate"}


def rolling(surge: int, unavailable: int) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


async def create(cluster, image: str = "web:1", **spec: Any) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(image, **spec), namespace="default")


async def change(cluster, **body: Any) -> Any:
    return await cluster.client.patch(DEPLOYMENTS, "web", body, namespace="default", patch=Patch.STRATEGIC)


async def set_of(cluster, image: str) -> Any:
    """The ReplicaSet whose pods run an image."""
    sets = await cluster.list(REPLICA_SETS)
    return next((rs for rs in sets if rs.spec.template.spec["containers"][0]["image"] == image), None)


async def sizes(cluster) -> dict[str, int]:
    """How many pods of each image there are to be."""
    sets = await cluster.list(REPLICA_SETS)
    return {rs.spec.template.spec["containers"][0]["image"]: rs.spec.replicas for rs in sets if rs.spec.replicas}


async def condition(cluster, type_: str, reason: str) -> Any:
    async def told():
        web = await cluster.get(DEPLOYMENTS, "web")
        return next((c for c in web.status.conditions if (c.type, c.reason) == (type_, reason)), None)

    return await cluster.until(told)


async def said(cluster, reason: str, *, about: str = "web") -> Any:
    async def events():
        listed = await cluster.client.list(EVENTS, namespace="default", field_selector=f"involvedObject.name={about}")
        return [event.message for event in listed.items if event.reason == reason]

    return await cluster.until(events)


async def lone_set(cluster, image: str = "web:0", **annotations: str) -> Any:
    """A ReplicaSet that nobody owns and whose pods serve."""
    await cluster.until(lambda: cluster.get(SERVICE_ACCOUNTS, "default"))
    spec = {**deployment(image, replicas=1)["spec"]}
    metadata = {"name": "alone", "labels": LABELS, "annotations": annotations}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
    await cluster.client.create(REPLICA_SETS, body, namespace="default")

    async def serving():
        found = await cluster.get(REPLICA_SETS, "alone")
        return found if found.status.available_replicas == 1 else None

    return await cluster.until(serving)


async def test_the_scale_subresource(cluster):
    await create(cluster, replicas=1)
    await rolled_out(cluster, "web:1", replicas=1)
    scale = await cluster.client.request("GET", f"{PATH}/web/scale")
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 1})
    assert scale["status"] == {"replicas": 1, "selector": "app=web"}
    scale["spec"]["replicas"] = 2
    await cluster.client.request("PUT", f"{PATH}/web/scale", body=scale)
    await rolled_out(cluster, "web:1", replicas=2)
    merge = "application/merge-patch+json"
    await cluster.client.request("PATCH", f"{PATH}/web/scale", body={"spec": {"replicas": 4}}, content_type=merge)
    await rolled_out(cluster, "web:1", replicas=4)


async def test_recreate_never_runs_old_and_new_together(cluster):
    await create(cluster, strategy=RECREATE)
    await rolled_out(cluster, "web:1")
    seen: list[set[str]] = []

    def look(old: Any, new: Any) -> None:
        pods = cluster.puppets.pods.list("default")
        seen.append({pod.spec.containers[0].image for pod in pods if not pod.finished})

    cluster.puppets.pods.add_handler(look)
    await change(cluster, **image_patch("web:2"))
    await rolled_out(cluster, "web:2")
    assert {"web:1"} in seen
    assert {"web:2"} in seen
    assert {"web:1", "web:2"} not in seen


async def test_a_replicaset_is_adopted_and_its_revision_counted_on(cluster):
    await lone_set(cluster, **{REVISION: "3546343826724305832"})
    await create(cluster, replicas=1)
    web = await rolled_out(cluster, "web:1", replicas=1)
    assert web.metadata.annotations[REVISION] == "3546343826724305833"
    adopted = await cluster.get(REPLICA_SETS, "alone")
    assert adopted.metadata.controller.uid == web.uid
    assert (adopted.spec.replicas, adopted.status.replicas) == (0, 0)
    new = await set_of(cluster, "web:1")
    assert new.metadata.annotations[REVISION] == "3546343826724305833"
    assert new.name == f"web-{new.metadata.labels['pod-template-hash']}"


async def test_a_replicaset_is_let_go_when_its_labels_do_not_match(cluster):
    await create(cluster)
    await rolled_out(cluster, "web:1")
    first = await set_of(cluster, "web:1")
    other = {"metadata": {"labels": {"app": "other"}}}
    await cluster.client.patch(REPLICA_SETS, first.name, other, namespace="default")

    async def released():
        found = await cluster.get(REPLICA_SETS, first.name)
        return found.metadata.controller is None

    await cluster.until(released)

    async def another():
        web = await cluster.get(DEPLOYMENTS, "web")
        return web.status.collision_count == 1 and len(await cluster.list(REPLICA_SETS)) == 2

    await cluster.until(another)  # The name is taken, so that the hash is counted as a collision.


async def test_old_replicasets_are_deleted(cluster):
    await lone_set(cluster)
    await create(cluster, replicas=1, revisionHistoryLimit=0)
    await rolled_out(cluster, "web:1", replicas=1)

    async def gone():
        return [rs.name for rs in await cluster.list(REPLICA_SETS) if rs.name == "alone"] == []

    await cluster.until(gone)


async def test_a_rollout_that_is_under_way_is_scaled_in_proportion(cluster):
    await create(cluster, replicas=10, strategy=rolling(3, 2))
    await rolled_out(cluster, "web:1", replicas=10)
    await change(cluster, **image_patch("bad:1"))

    async def stands(wanted: dict[str, int]):
        return await sizes(cluster) == wanted

    await cluster.until(lambda: stands({"web:1": 8, "bad:1": 5}))
    await change(cluster, spec={"replicas": 30})
    await cluster.until(lambda: stands({"web:1": 20, "bad:1": 13}))
    for image in ("web:1", "bad:1"):
        annotations = (await set_of(cluster, image)).metadata.annotations
        assert annotations["deployment.kubernetes.io/desired-replicas"] == "30"
        assert annotations["deployment.kubernetes.io/max-replicas"] == "33"


async def test_a_rollout_is_rolled_over_by_the_next(cluster):
    await create(cluster, "web:1", replicas=1, strategy=rolling(1, 0))
    await rolled_out(cluster, "web:1", replicas=1)
    await change(cluster, **image_patch("bad:1"))

    async def begun():
        return await sizes(cluster) == {"web:1": 1, "bad:1": 1}

    await cluster.until(begun)
    await change(cluster, **image_patch("web:2"))
    web = await rolled_out(cluster, "web:2", replicas=1)
    assert web.metadata.annotations[REVISION] == "3"
    assert await sizes(cluster) == {"web:2": 1}


async def test_the_life_of_a_deployment(cluster):
    client = cluster.client
    await create(cluster, replicas=2)
    await rolled_out(cluster, "web:1", replicas=2)
    changed = await change(
        cluster, metadata={"labels": {"step": "patched"}}, spec={"replicas": 1, **image_patch("web:2")["spec"]}
    )
    assert changed.metadata.labels["step"] == "patched"
    await rolled_out(cluster, "web:2", replicas=1)
    everywhere = await client.list(DEPLOYMENTS, label_selector="step=patched")
    assert [item.name for item in everywhere.items] == ["web"]
    document = await client.request("GET", f"{PATH}/web")
    document["spec"]["replicas"] = 3
    await client.request("PUT", f"{PATH}/web", body=document)
    await rolled_out(cluster, "web:2", replicas=3)
    await client.delete_collection(DEPLOYMENTS, namespace="default", label_selector="step=patched")

    async def gone():
        return not await cluster.list(DEPLOYMENTS) and not await cluster.list(PODS)

    await cluster.until(gone)


async def test_a_status_that_somebody_else_wrote_is_put_right_and_keeps_what_is_theirs(cluster):
    await create(cluster)
    await rolled_out(cluster, "web:1")
    mine = {"type": "StatusPatched", "status": "True", "reason": "ByHand", "message": "of mine"}
    body = {"status": {"readyReplicas": 1, "availableReplicas": 1, "conditions": [mine]}}
    await cluster.client.patch(
        DEPLOYMENTS, "web", body, namespace="default", subresource="status", patch=Patch.STRATEGIC
    )

    async def right():
        status = (await cluster.get(DEPLOYMENTS, "web")).status
        return status.ready_replicas == 3 and {c.type for c in status.conditions}

    assert await cluster.until(right) == {"StatusPatched", "Available", "Progressing"}


async def test_what_is_said_about_a_rollout(cluster):
    await create(cluster, strategy=RECREATE)
    await rolled_out(cluster, "web:1")
    first = await set_of(cluster, "web:1")
    assert await said(cluster, "ScalingReplicaSet") == [f"Scaled up replica set {first.name} from 0 to 3"]
    ready = await condition(cluster, "Progressing", "NewReplicaSetAvailable")
    assert ready.message == f'ReplicaSet "{first.name}" has successfully progressed.'
    available = await condition(cluster, "Available", "MinimumReplicasAvailable")
    assert available.message == "Deployment has minimum availability."
    await change(cluster, spec={"replicas": 0})
    await rolled_out_to_nothing(cluster)
    messages = await said(cluster, "ScalingReplicaSet")
    assert f"Scaled down replica set {first.name} from 3 to 0" in messages


async def rolled_out_to_nothing(cluster) -> None:
    async def empty():
        status = (await cluster.get(DEPLOYMENTS, "web")).status
        return status.replicas == 0 and status.terminating_replicas == 0 and not await cluster.list(PODS)

    await cluster.until(empty)


async def test_a_replicaset_that_may_not_be_made(cluster):
    await quota(cluster, {"count/replicasets.apps": "0"}, name="few")
    await create(cluster)
    refused = await condition(cluster, "Progressing", "ReplicaSetCreateError")
    assert refused.status == "False"
    assert refused.message.startswith('Failed to create new replica set "web-')
    assert "exceeded quota: few" in refused.message
    assert refused.message in await said(cluster, "ReplicaSetCreateError")
    await cluster.client.delete(QUOTAS, "few", namespace="default")
    await rolled_out(cluster, "web:1")


async def test_pods_that_may_not_be_made_are_told_on_the_deployment(cluster):
    await quota(cluster, {"pods": "1"}, name="few")
    await create(cluster, replicas=3)
    failed = await condition(cluster, "ReplicaFailure", "FailedCreate")
    assert failed.status == "True"
    assert "exceeded quota: few" in failed.message
    await cluster.client.delete(QUOTAS, "few", namespace="default")
    web = await rolled_out(cluster, "web:1")
    assert "ReplicaFailure" not in {c.type for c in web.status.conditions}


async def test_the_old_annotation_rolls_back_once(cluster):
    await create(cluster)
    await rolled_out(cluster, "web:1")
    await change(cluster, metadata={"annotations": {"kubernetes.io/change-cause": "two"}}, **image_patch("web:2"))
    await rolled_out(cluster, "web:2")
    await change(cluster, metadata={"annotations": {ROLLBACK_TO: "0"}})
    web = await rolled_out(cluster, "web:1")
    assert ROLLBACK_TO not in web.metadata.annotations
    assert "kubernetes.io/change-cause" not in web.metadata.annotations
    assert web.metadata.annotations[REVISION] == "3"
    assert await said(cluster, "DeploymentRollback") == ['Rolled back deployment "web" to revision 1']
    await change(cluster, metadata={"annotations": {ROLLBACK_TO: "3"}})
    unchanged = 'The rollback revision contains the same template as current deployment "web"'
    assert await said(cluster, "DeploymentRollbackTemplateUnchanged") == [unchanged]
    await change(cluster, metadata={"annotations": {ROLLBACK_TO: "9"}})
    missing = ["Unable to find the revision to rollback to."]
    assert await said(cluster, "DeploymentRollbackRevisionNotFound") == missing


async def test_a_rollout_that_does_not_move_runs_out_of_time(cluster):
    await create(cluster, "bad:1", replicas=1, progressDeadlineSeconds=2, minReadySeconds=1)
    late = await condition(cluster, "Progressing", "ProgressDeadlineExceeded")
    assert late.status == "False"
    assert "has timed out progressing." in late.message
    less = await condition(cluster, "Available", "MinimumReplicasUnavailable")
    assert less.message == "Deployment does not have minimum availability."
    await change(cluster, **image_patch("web:1"))
    await rolled_out(cluster, "web:1", replicas=1)


async def test_pause_scale_and_resume_with_kubectl(cluster):
    await create(cluster)
    await rolled_out(cluster, "web:1")
    await kubectl(cluster, "rollout", "pause", "deployment/web")
    paused = await condition(cluster, "Progressing", "DeploymentPaused")
    assert (paused.status, paused.message) == ("Unknown", "Deployment is paused")
    await kubectl(cluster, "set", "image", "deployment/web", "c=web:2")
    await kubectl(cluster, "scale", "deployment/web", "--replicas=5")

    async def scaled():
        return await sizes(cluster) == {"web:1": 5}

    await cluster.until(scaled)
    await kubectl(cluster, "rollout", "resume", "deployment/web")
    assert "successfully rolled out" in await kubectl(cluster, "rollout", "status", "deployment/web")
    await rolled_out(cluster, "web:2", replicas=5)
    history = await kubectl(cluster, "rollout", "history", "deployment/web", "--revision=1")
    assert "web:1" in history
    await kubectl(cluster, "rollout", "undo", "deployment/web", "--to-revision=1")
    await rolled_out(cluster, "web:1", replicas=5)
    assert len(await cluster.list(REPLICA_SETS)) == 2
