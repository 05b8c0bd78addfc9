"""Keeps the pods of ReplicaSets, and of ReplicationControllers, which are the same but for their selector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Generic

from k8slite import conditions, ownership, selectors
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.apps import ReplicaSet, ReplicaSetSpec, ReplicaSetStatus
from k8slite.kinds.base import Condition, K, LabelSelectorModel, ResourceType
from k8slite.kinds.core import ReplicationController
from k8slite.kinds.resources import REPLICA_SETS, REPLICATION_CONTROLLERS

from .. import claiming
from ..children import Ledger, all_of, batches
from ..context import Context, Runnable, by_controller
from ..pods import PODS, Pod
from .plan import Plan, plan

REST = 0.05
"""Seconds between two looks at one owner: pods come and go in bursts, and each look writes a status."""
QUEUES = {"ReplicaSet": "replicaset", "ReplicationController": "replicationmanager"}
"""The names of the work queues by kind."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller of ReplicaSets."""
    return [Replication(context, REPLICA_SETS, view=lambda item: item, component="replicaset-controller").controller]


def build_replication_controllers(context: Context) -> Sequence[Runnable]:
    """The controller of ReplicationControllers."""
    return [
        Replication(
            context, REPLICATION_CONTROLLERS, view=_as_replicaset, component="replication-controller"
        ).controller
    ]


def _as_replicaset(item: ReplicationController) -> ReplicaSet:
    spec = ReplicaSetSpec(
        replicas=item.spec.replicas,
        min_ready_seconds=item.spec.min_ready_seconds,
        selector=LabelSelectorModel(match_labels=item.spec.selector),
        template=item.spec.template,
    )
    status = ReplicaSetStatus.model_validate(item.status.model_dump())
    return ReplicaSet(api_version="v1", kind=item.kind, metadata=item.metadata, spec=spec, status=status)


class Replication(Generic[K]):
    """Syncs one of the two kinds."""

    def __init__(
        self, context: Context, resource: ResourceType[K], *, view: Callable[[K], ReplicaSet], component: str
    ) -> None:
        self._context = context
        self._resource = resource
        self._view = view
        self._say = partial(context.say, component)
        self._owners = context.informers.of(resource, controller=by_controller)
        self._pods = context.informers.of(PODS, controller=by_controller)
        self._ledger = Ledger(self._pods)
        clock, workers = context.clock, context.config.workers
        self.controller = Controller(QUEUES[resource.kind], self.sync, clock=clock, workers=workers, rest=REST)
        self._owners.add_handler(self._owner_changed)
        self._pods.add_handler(claiming.waking(self.controller.queue, kind=resource.kind, takers=self._enqueue_takers))

    def _owner_changed(self, old: K | None, new: K | None) -> None:
        if item := new or old:
            self.controller.queue.add(item.key)

    def _enqueue_takers(self, orphan: Pod) -> None:
        if orphan.deleting or not orphan.metadata.labels:
            return
        for item in self._owners.list(orphan.namespace):
            if _selector(self._view(item)).matches(orphan.metadata.labels):
                self.controller.queue.add(item.key)

    async def sync(self, key: str) -> Result:
        """One ReplicaSet."""
        found = self._owners.get(key)
        if found is None:
            self._ledger.forget(key)
            return DONE
        replicaset = self._view(found)
        selector = _selector(replicaset)
        if not selector:
            return DONE  # it would take every pod of the namespace; the API lets nobody write that
        deleted = await self._ledger.settle(key)
        pods = await self._claim(replicaset, selector)
        now = self._context.clock.now()
        decided = plan(
            replicaset=replicaset, pods=pods, now=now, deleted=deleted, related=self._related(replicaset, pods)
        )
        failure = await self._carry_out(key, replicaset, decided)
        await self._write_status(replicaset, decided, failure)
        if failure is not None:
            raise failure
        return Result(decided.requeue_after)

    async def _claim(self, replicaset: ReplicaSet, selector: selectors.LabelSelector) -> list[Pod]:
        owned = self._pods.by_index("controller", replicaset.uid)
        orphans = self._pods.by_index("controller", f"orphans/{replicaset.namespace}")
        active = [pod for pod in orphans if pod.active]
        # Who has ended or is about to go stays whose it was: it counts no more, and who takes it over gains nothing.
        relevant = [pod for pod in owned if pod.active or selector.matches(pod.metadata.labels)]
        claims = ownership.claim(replicaset, [*relevant, *active], selector=selector)
        return await claiming.carry_out(
            self._context, claims, owner=replicaset, owners=self._resource, children=PODS, ledger=self._ledger
        )

    def _related(self, replicaset: ReplicaSet, pods: Sequence[Pod]) -> Sequence[Pod]:
        """The pods of all ReplicaSets of the same owner; only looked for when some must go."""
        owner = replicaset.metadata.controller
        if owner is None or len(pods) <= replicaset.spec.replicas:
            return ()
        siblings = self._owners.by_index("controller", owner.uid)
        return [pod for sibling in siblings for pod in self._pods.by_index("controller", sibling.uid)]

    async def _carry_out(self, key: str, replicaset: ReplicaSet, decided: Plan) -> ApiError | None:
        try:
            await self._create(replicaset, decided.create)
            await all_of(self._delete(key, replicaset, pod) for pod in decided.delete)
        except ApiError as error:
            return None if error.namespace_goes else error
        return None

    async def _create(self, replicaset: ReplicaSet, count: int) -> None:
        for group in batches(count):
            await all_of(self._create_one(replicaset) for _ in group)

    async def _create_one(self, replicaset: ReplicaSet) -> None:
        body = partial(pod_from_template, replicaset)
        try:
            pod = await self._ledger.create(self._context, replicaset, body, prefix=replicaset.name)
        except ApiError as error:
            if not error.namespace_goes:
                self._say(replicaset, "FailedCreate", f"Error creating: {error}", type="Warning")
            raise
        self._say(replicaset, "SuccessfulCreate", f"Created pod: {pod.name}")

    async def _delete(self, key: str, replicaset: ReplicaSet, pod: Pod) -> None:
        try:
            await self._context.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                self._say(replicaset, "FailedDelete", f"Error deleting: {error}", type="Warning")
                raise
            self._ledger.deleted(key, pod)
            return
        self._ledger.deleted(key, pod)
        self._say(replicaset, "SuccessfulDelete", f"Deleted pod: {pod.name}")

    async def _write_status(self, replicaset: ReplicaSet, decided: Plan, failure: ApiError | None) -> None:
        status = decided.status
        reason = "FailedDelete" if decided.delete else "FailedCreate"
        listed = _judged(status.conditions, failure, reason=reason, now=self._context.clock.now())
        if self._resource.kind == "ReplicationController":
            status = status.model_copy(update={"terminating_replicas": None})
        status = status.model_copy(update={"conditions": listed})
        if status == replicaset.status:
            return
        body: dict[str, Any] = {"metadata": {"uid": replicaset.uid}, "status": status.to_wire()}
        await self._context.client.patch(
            self._resource, replicaset.name, body, namespace=replicaset.namespace, subresource="status"
        )


def _judged(present: list[Condition], failure: ApiError | None, *, reason: str, now: datetime) -> list[Condition]:
    """The conditions with the failure, or without one.

    A further failure leaves the first one's words: each names another pod, and a status that changed would be looked at
    again at once, whatever the pause after a failure.
    """
    if failure is None:
        return conditions.drop(present, "ReplicaFailure")
    if conditions.is_true(present, "ReplicaFailure"):
        return present
    condition = Condition(type="ReplicaFailure", status="True", reason=reason, message=failure.message)
    return conditions.put(present, condition, now=now)


def pod_from_template(owner: ReplicaSet, name: str) -> dict[str, Any]:
    """The pod that a ReplicaSet makes, owned by it."""
    metadata = owner.spec.template.document.get("metadata") or {}
    kept = {field: metadata[field] for field in ("labels", "annotations", "finalizers") if metadata.get(field)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{owner.name}-",
            "namespace": owner.namespace,
            **kept,
            "ownerReferences": [ownership.controller_reference(owner)],
        },
        "spec": owner.spec.template.spec,
    }


def _selector(replicaset: ReplicaSet) -> selectors.LabelSelector:
    return selectors.from_object(replicaset.spec.selector.to_wire()) or selectors.EVERYTHING
