"""Keeps the pods of DaemonSets, one on each node that fits, and rolls their templates out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import aiohttp

from k8slite import ownership, selectors
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.apps import ControllerRevision, DaemonSet, DaemonSetStatus
from k8slite.kinds.base import Object
from k8slite.kinds.core import Node
from k8slite.kinds.resources import DAEMON_SETS, NODES

from .. import claiming
from ..children import Ledger, all_of, batches
from ..context import Context, Runnable, by_controller
from ..history import History
from ..pods import PODS, Pod
from .backoff import Backoff
from .nodes import Nodes
from .plan import Plan, plan
from .revisions import Revisions
from .template import pods_of

COMPONENT = "daemonset-controller"
REST = 0.1
"""Seconds between two looks at one DaemonSet: a look goes over all its nodes."""
_SELECTS_ALL = "This daemon set is selecting all pods. A non-empty selector is required."


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [DaemonSetSync(context).controller]


class DaemonSetSync:
    """Syncs DaemonSets."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._say = partial(context.say, COMPONENT)
        self._daemonsets = context.informers.of(DAEMON_SETS)
        self._pods = context.informers.of(PODS, controller=by_controller)
        informer = context.informers.of(NODES)
        self._nodes = Nodes(informer.list)
        self._ledger = Ledger(self._pods)
        self._history = History(context, DAEMON_SETS)
        self._revisions = Revisions(context, self._history, self._ledger)
        self._backoff = Backoff()
        self.controller = Controller(
            "daemonset", self.sync, clock=context.clock, workers=context.config.workers, rest=REST
        )
        self._daemonsets.add_handler(self._daemonset_changed)
        self._pods.add_handler(self._child_changed)
        self._history.informer.add_handler(self._revision_changed)
        informer.add_handler(self._node_changed)

    def _daemonset_changed(self, old: DaemonSet | None, new: DaemonSet | None) -> None:
        if item := new or old:
            self.controller.queue.add(item.key)

    def _revision_changed(self, old: ControllerRevision | None, new: ControllerRevision | None) -> None:
        """A new one is our own, or an orphan that somebody may take."""
        if old is not None or (new is not None and new.metadata.controller is None):
            self._child_changed(old, new)

    def _child_changed(self, old: Object | None, new: Object | None) -> None:
        for child in (old, new):
            if child is None:
                continue
            owner = child.metadata.controller
            if owner is None:
                self._enqueue_takers(child)
            elif owner.kind == DAEMON_SETS.kind:
                self.controller.queue.add(f"{child.namespace}/{owner.name}")

    def _enqueue_takers(self, orphan: Object) -> None:
        if orphan.deleting or not orphan.metadata.labels:
            return
        for item in self._daemonsets.list(orphan.namespace):
            if _selector(item).matches(orphan.metadata.labels):
                self.controller.queue.add(item.key)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        for key in self._nodes.change(old, new):
            self.controller.queue.add(key)

    async def sync(self, key: str) -> Result:
        """One DaemonSet."""
        daemonset = self._daemonsets.get(key)
        if daemonset is None:
            self._forget(key)
            return DONE
        selector = _selector(daemonset)
        if not selector:
            self._say(daemonset, "SelectingAll", _SELECTS_ALL, type="Warning")
            return DONE
        if daemonset.deleting:
            return DONE  # its revisions may be gone already, without which nobody can tell what is up to date
        deleted = await self._ledger.settle(key)
        pods = await self._claim(daemonset, selector)
        present = await self._revisions.present(daemonset, selector, pods)
        clock = self._context.clock
        decided = plan(
            daemonset=daemonset,
            fits=self._nodes.fits(key, daemonset.spec.template),
            pods=present.pods,
            hash_=present.hash,
            now=clock.now(),
            deleted=deleted,
            held=self._backoff.held(
                key, uid=daemonset.uid, generation=daemonset.metadata.generation, now=clock.monotonic()
            ),
            collisions=present.collisions,
        )
        failure = await self._carry_out(daemonset, decided, hash_=present.hash)
        if failure is None:
            await self._revisions.trim(daemonset, present)
        await self._write_status(daemonset, decided.status)
        if failure is not None:
            raise failure
        return Result(decided.requeue_after)

    def _forget(self, key: str) -> None:
        self._ledger.forget(key)
        self._history.forget(key)
        self._backoff.forget(key)
        self._nodes.forget(key)
        self.controller.queue.drop(key)

    async def _claim(self, daemonset: DaemonSet, selector: selectors.LabelSelector) -> list[Pod]:
        owned = self._pods.by_index("controller", daemonset.uid)
        orphans = self._pods.by_index("controller", f"orphans/{daemonset.namespace}")
        claims = ownership.claim(daemonset, [*owned, *orphans], selector=selector)
        return await claiming.carry_out(
            self._context, claims, owner=daemonset, owners=DAEMON_SETS, children=PODS, ledger=self._ledger
        )

    async def _carry_out(self, daemonset: DaemonSet, decided: Plan, *, hash_: str) -> Exception | None:
        """Make and delete; the first failure, unless the namespace goes and takes everything with it."""
        for node, pod in decided.ended:
            self._tell_end(daemonset, node, pod)
        outcomes = await asyncio.gather(
            self._create(daemonset, decided.create, hash_=hash_),
            all_of(self._delete(daemonset, pod) for pod in decided.delete),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, ApiError) and outcome.namespace_goes:
                continue
            if isinstance(outcome, ApiError | aiohttp.ClientError | OSError):
                return outcome
            if isinstance(outcome, BaseException):
                raise outcome
        return None

    def _tell_end(self, daemonset: DaemonSet, node: str, pod: Pod) -> None:
        where = f"daemon pod {pod.namespace}/{pod.name} on node {node}"
        if pod.status.phase == "Failed":
            self._backoff.failed(daemonset.key, node, now=self._context.clock.monotonic())
            message = f"Found failed {where}, will try to kill it"
            self._say(daemonset, "FailedDaemonPod", message, type="Warning")
        else:
            self._say(daemonset, "SucceededDaemonPod", f"Found succeeded {where}, will try to delete it")

    async def _create(self, daemonset: DaemonSet, nodes: Sequence[str], *, hash_: str) -> None:
        document = pods_of(daemonset, hash_=hash_)
        for batch in batches(len(nodes)):
            await all_of(self._create_one(daemonset, partial(document, nodes[i]), nodes[i]) for i in batch)

    async def _create_one(self, daemonset: DaemonSet, body: Callable[[str], dict[str, Any]], node: str) -> None:
        try:
            pod = await self._ledger.create(self._context, daemonset, body, prefix=daemonset.name, place=node)
        except ApiError as error:
            if not error.namespace_goes:
                self._say(daemonset, "FailedCreate", f"Error creating: {error}", type="Warning")
            raise
        self._say(daemonset, "SuccessfulCreate", f"Created pod: {pod.name}")

    async def _delete(self, daemonset: DaemonSet, pod: Pod) -> None:
        try:
            await self._context.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                self._say(daemonset, "FailedDelete", f"Error deleting: {error}", type="Warning")
                raise
        self._ledger.deleted(daemonset.key, pod)
        self._say(daemonset, "SuccessfulDelete", f"Deleted pod: {pod.name}")

    async def _write_status(self, daemonset: DaemonSet, status: DaemonSetStatus) -> None:
        if status == daemonset.status:
            return
        body: dict[str, Any] = {"metadata": {"uid": daemonset.uid}, "status": status.to_wire()}
        await self._context.client.patch(
            DAEMON_SETS, daemonset.name, body, namespace=daemonset.namespace, subresource="status"
        )


def _selector(daemonset: DaemonSet) -> selectors.LabelSelector:
    return selectors.from_object(daemonset.spec.selector.to_wire()) or selectors.EVERYTHING
