"""Keeps the ReplicaSets of Deployments."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from k8slite import ownership, selectors
from k8slite.client import Patch
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.apps import Deployment, DeploymentStatus, ReplicaSet
from k8slite.kinds.resources import DEPLOYMENTS, REPLICA_SETS

from .. import claiming
from ..children import Ledger
from ..context import Context, Runnable, by_controller
from ..pods import PODS, Pod
from . import status as statuses
from . import template
from .plan import Change, Creation, Plan, plan
from .rollback import Rollback

SCALING = "ScalingReplicaSet"

_SELECTS_ALL = "This deployment is selecting all pods. A non-empty selector is required."

REST = 0.05
"""Seconds between two looks at one Deployment: what happens to its ReplicaSets meanwhile is one status."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [DeploymentSync(context).controller]


class DeploymentSync:
    """Syncs Deployments."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._say = partial(context.say, "deployment-controller")
        self._deployments = context.informers.of(DEPLOYMENTS)
        self._replicasets = context.informers.of(REPLICA_SETS, controller=by_controller)
        self._ledger = Ledger(self._replicasets)
        self._pods = context.informers.of(PODS, controller=by_controller)
        self.controller = Controller(
            "deployment", self.sync, clock=context.clock, workers=context.config.workers, rest=REST
        )
        self._deployments.add_handler(self._deployment_changed)
        self._replicasets.add_handler(self._replicaset_changed)
        self._pods.add_handler(self._pod_changed)

    def _deployment_changed(self, old: Deployment | None, new: Deployment | None) -> None:
        if item := new or old:
            self.controller.queue.add(item.key)

    def _replicaset_changed(self, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        for rs in (old, new):
            if rs is None:
                continue
            owner = rs.metadata.controller
            if owner is not None and owner.kind == "Deployment":
                self.controller.queue.add(f"{rs.namespace}/{owner.name}")
            elif owner is None and not rs.deleting:
                for deployment in self._deployments.list(rs.namespace):
                    if _selector(deployment).matches(rs.metadata.labels):
                        self.controller.queue.add(deployment.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """Only Recreate looks at pods: it waits for the last old one to go."""
        owner = old.metadata.controller if old is not None and (new is None or new.finished) else None
        if old is None or owner is None or owner.kind != "ReplicaSet":
            return
        rs = self._replicasets.get(f"{old.namespace}/{owner.name}")
        above = rs.metadata.controller if rs is not None else None
        deployment = self._deployments.get(f"{old.namespace}/{above.name}") if above is not None else None
        if deployment is not None and deployment.spec.strategy.type == "Recreate":
            self.controller.queue.add(deployment.key)

    async def sync(self, key: str) -> Result:
        """One Deployment."""
        deployment = self._deployments.get(key)
        if deployment is None:
            self._ledger.forget(key)
            return DONE
        selector = _selector(deployment)
        if not selector:
            self._say(deployment, "SelectingAll", _SELECTS_ALL, type="Warning")
            return DONE
        await self._ledger.settle(key)
        replicasets = await self._claim(deployment, selector)
        now = self._context.clock.now()
        decided = plan(
            deployment=deployment, replicasets=replicasets, unfinished=self._unfinished(replicasets), now=now
        )
        await self._carry_out(deployment, decided)
        await self._write_status(deployment, decided.status)
        return Result(decided.requeue_after)

    async def _claim(self, deployment: Deployment, selector: selectors.LabelSelector) -> list[ReplicaSet]:
        owned = self._replicasets.by_index("controller", deployment.uid)
        orphans = self._replicasets.by_index("controller", f"orphans/{deployment.namespace}")
        claims = ownership.claim(deployment, [*owned, *orphans], selector=selector)
        return await claiming.carry_out(
            self._context,
            claims,
            owner=deployment,
            owners=DEPLOYMENTS,
            children=REPLICA_SETS,
            ledger=self._ledger,
        )

    def _unfinished(self, replicasets: Sequence[ReplicaSet]) -> Mapping[str, int]:
        owned = {rs.uid: self._pods.by_index("controller", rs.uid) for rs in replicasets}
        return {uid: sum(1 for pod in pods if not pod.finished) for uid, pods in owned.items()}

    async def _carry_out(self, deployment: Deployment, decided: Plan) -> None:
        if decided.create is not None:
            await self._create(deployment, decided.create)
        for change in decided.change:
            await self._change(deployment, change)
        for rs in decided.delete:
            await self._context.client.delete(REPLICA_SETS, rs.name, namespace=rs.namespace, uid=rs.uid)
        if decided.annotations:
            body = {"metadata": {"uid": deployment.uid, "annotations": dict(decided.annotations)}}
            await self._context.client.patch(DEPLOYMENTS, deployment.name, body, namespace=deployment.namespace)
        if decided.rollback is not None:
            await self._roll_back(deployment, decided.rollback)

    async def _roll_back(self, deployment: Deployment, back: Rollback) -> None:
        """Replaces as a whole, on condition that nobody changed the Deployment meanwhile."""
        body: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": deployment.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": deployment.metadata.resource_version},
            {"op": "replace", "path": "/metadata/annotations", "value": dict(back.annotations)},
        ]
        if back.template is not None:
            body.append({"op": "replace", "path": "/spec/template", "value": dict(back.template)})
        await self._context.client.patch(
            DEPLOYMENTS, deployment.name, body, namespace=deployment.namespace, patch=Patch.JSON
        )
        self._say(deployment, back.reason, back.message, type="Normal" if back.done else "Warning")

    async def _create(self, deployment: Deployment, creation: Creation) -> None:
        body = new_replicaset(deployment, creation)
        client, namespace = self._context.client, deployment.namespace
        try:
            made = await client.create(REPLICA_SETS, body, namespace=namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                if not error.namespace_goes:
                    await self._tell_refusal(deployment, f'Failed to create new replica set "{creation.name}": {error}')
                raise
            made = await client.get(REPLICA_SETS, creation.name, namespace=namespace)
            owner = made.metadata.controller
            mine = owner is not None and owner.uid == deployment.uid
            if not mine or template.canonical(made.spec.template) != template.canonical(deployment.spec.template):
                await self._collide(deployment)
                raise
            self._ledger.wrote(deployment.key, made)
            return
        self._ledger.wrote(deployment.key, made)
        if creation.replicas:
            self._say(deployment, SCALING, f"Scaled up replica set {made.name} from 0 to {creation.replicas}")

    async def _tell_refusal(self, deployment: Deployment, message: str) -> None:
        """The refusal itself is the failure; whether the status could tell of it matters less."""
        self._say(deployment, statuses.NOT_CREATED, message, type="Warning")
        told = statuses.not_created(deployment, message=message, now=self._context.clock.now())
        with contextlib.suppress(ApiError):
            await self._write_status(deployment, told)

    async def _collide(self, deployment: Deployment) -> None:
        """Another template has this hash: the count of collisions makes the next try another one."""
        body = {
            "metadata": {"uid": deployment.uid, "resourceVersion": deployment.metadata.resource_version},
            "status": {"collisionCount": deployment.status.collision_count + 1},
        }
        await self._context.client.patch(
            DEPLOYMENTS, deployment.name, body, namespace=deployment.namespace, subresource="status"
        )

    async def _change(self, deployment: Deployment, change: Change) -> None:
        rs = change.replicaset
        body: dict[str, Any] = {
            "metadata": {"uid": rs.uid, "resourceVersion": rs.metadata.resource_version},
            "spec": {},
        }
        if change.annotations:
            body["metadata"]["annotations"] = dict(change.annotations)
        if change.scales:
            body["spec"]["replicas"] = change.replicas
        if change.min_ready_seconds is not None:
            body["spec"]["minReadySeconds"] = change.min_ready_seconds
        changed = await self._context.client.patch(REPLICA_SETS, rs.name, body, namespace=rs.namespace)
        self._ledger.wrote(deployment.key, changed)
        if change.scales:
            way = "up" if change.replicas > rs.spec.replicas else "down"
            message = f"Scaled {way} replica set {rs.name} from {rs.spec.replicas} to {change.replicas}"
            self._say(deployment, SCALING, message)

    async def _write_status(self, deployment: Deployment, status: DeploymentStatus) -> None:
        if status == deployment.status:
            return
        wire = status.to_wire()
        wire["terminatingReplicas"] = status.terminating_replicas
        if not status.collision_count:
            wire.pop("collisionCount", None)
        body = {"metadata": {"uid": deployment.uid}, "status": wire}
        await self._context.client.patch(
            DEPLOYMENTS, deployment.name, body, namespace=deployment.namespace, subresource="status"
        )


def new_replicaset(deployment: Deployment, creation: Creation) -> dict[str, Any]:
    """The ReplicaSet for the Deployment's present template."""
    selector = deployment.spec.selector.to_wire()
    selector["matchLabels"] = selector.get("matchLabels", {}) | {template.HASH_LABEL: creation.hash}
    spec: dict[str, Any] = {
        "replicas": creation.replicas,
        "selector": selector,
        "template": template.labelled(deployment.spec.template, creation.hash),
    }
    if deployment.spec.min_ready_seconds:
        spec["minReadySeconds"] = deployment.spec.min_ready_seconds
    return {
        "apiVersion": REPLICA_SETS.api_version,
        "kind": REPLICA_SETS.kind,
        "metadata": {
            "name": creation.name,
            "namespace": deployment.namespace,
            "labels": dict(spec["template"]["metadata"]["labels"]),
            "annotations": dict(creation.annotations),
            "ownerReferences": [ownership.controller_reference(deployment)],
        },
        "spec": spec,
    }


def _selector(deployment: Deployment) -> selectors.LabelSelector:
    return selectors.from_object(deployment.spec.selector.to_wire()) or selectors.EVERYTHING
