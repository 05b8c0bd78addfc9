"""Keeps the pods of StatefulSets, and makes the claims that these keep.

Pods and claims have names that cannot be others, so nothing is made twice, whatever is lost on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import aiohttp

from k8slite import ownership, selectors
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.apps import ControllerRevision, StatefulSet, StatefulSetStatus
from k8slite.kinds.base import Object
from k8slite.kinds.resources import PERSISTENT_VOLUME_CLAIMS, STATEFUL_SETS

from .. import claiming, revisions
from ..children import Ledger
from ..context import Context, Runnable, by_controller
from ..history import History
from ..pods import PODS, Pod
from . import identity
from .carry import Hands
from .plan import Plan, plan
from .status import Revisions

REST = 0.02
"""Seconds between two looks at one set: pods change in bursts, but each of an ordered set waits for one look."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [StatefulSetSync(context).controller]


class StatefulSetSync:
    """Syncs StatefulSets."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sets = context.informers.of(STATEFUL_SETS)
        self._pods = context.informers.of(PODS, controller=by_controller)
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._history = History(context, STATEFUL_SETS)
        self._ledger = Ledger(self._pods)
        self._hands = Hands(context, pods=self._ledger, claims=self._claims)
        self.controller = Controller(
            "statefulset", self.sync, clock=context.clock, workers=context.config.workers, rest=REST
        )
        self._sets.add_handler(self._set_changed)
        self._pods.add_handler(
            claiming.waking(self.controller.queue, kind=STATEFUL_SETS.kind, takers=self._enqueue_takers)
        )
        self._pods.add_handler(self._pod_changed)
        self._claims.add_handler(self._claim_changed)

    def _set_changed(self, old: StatefulSet | None, new: StatefulSet | None) -> None:
        if item := new or old:
            self.controller.queue.add(item.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and new is None and (waits := self._named_after(old)) is not None:
            self.controller.queue.add(waits.key)  # whoever had the name, it is free now

    def _enqueue_takers(self, orphan: Pod) -> None:
        taker = self._named_after(orphan)
        if taker is not None and not orphan.deleting and _selector(taker).matches(orphan.metadata.labels):
            self.controller.queue.add(taker.key)

    def _named_after(self, pod: Pod) -> StatefulSet | None:
        """The set for whose pod the name would do."""
        return self._sets.get(f"{pod.namespace}/{pod.name.rpartition('-')[0]}")

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        """A claim that has gone may be one that somebody waits for, or one that must be made again."""
        if old is None or new is not None:
            return
        for item in self._sets.list(old.namespace):
            if identity.uses_claim(item, old.name):
                self.controller.queue.add(item.key)

    async def sync(self, key: str) -> Result:
        """One StatefulSet."""
        statefulset = self._sets.get(key)
        if statefulset is None:
            self._ledger.forget(key)
            self._hands.forget(key)
            self._history.forget(key)
            return DONE
        selector = _selector(statefulset)
        if not selector:
            return DONE
        deleted = await self._ledger.settle(key)
        await self._hands.settle(key)
        known = await self._history.claimed(statefulset, selector)
        pods = await self._claim_pods(statefulset, selector)
        if statefulset.deleting:
            current, update, collisions = None, None, statefulset.status.collision_count or 0
        else:
            update, collisions = await self._history.newest(
                statefulset,
                statefulset.spec.template,
                known,
                collisions=statefulset.status.collision_count or 0,
            )
            current = next((one for one in known if one.name == statefulset.status.current_revision), update)
        names = Revisions(
            current=current.name if current else statefulset.status.current_revision,
            update=update.name if update else statefulset.status.update_revision,
            collisions=collisions,
        )
        decided = plan(
            statefulset=statefulset,
            pods=pods,
            claims=self._claims_of(statefulset, pods),
            revisions=names,
            now=self._context.clock.now(),
            deleted=deleted,
        )
        failure = await self._carry_out(statefulset, decided, [one for one in (update, current) if one])
        await self._write_status(statefulset, decided.status)
        if failure is not None:
            raise failure
        live = {names.current, names.update, *(identity.revision_of(pod) for pod in pods)}
        await self._history.trim(statefulset, known, live=live, limit=statefulset.spec.revision_history_limit)
        return Result(decided.requeue_after)

    async def _claim_pods(self, statefulset: StatefulSet, selector: selectors.LabelSelector) -> list[Pod]:
        """The set's pods, with orphans of its names and labels taken over and what is not its own let go."""
        owned = self._pods.by_index("controller", statefulset.uid)
        orphans = self._pods.by_index("controller", f"orphans/{statefulset.namespace}")
        numbered = [pod for pod in [*owned, *orphans] if identity.ordinal_of(statefulset, pod.name) is not None]
        strangers = [pod for pod in owned if identity.ordinal_of(statefulset, pod.name) is None]
        claims = ownership.claim(statefulset, numbered, selector=selector)
        if not statefulset.deleting:
            claims = replace(claims, release=(*claims.release, *strangers))
        return await claiming.carry_out(
            self._context, claims, owner=statefulset, owners=STATEFUL_SETS, children=PODS, ledger=self._ledger
        )

    def _claims_of(self, statefulset: StatefulSet, pods: Sequence[Pod]) -> dict[str, Object]:
        if not statefulset.spec.volume_claim_templates:
            return {}
        ordinals = {identity.ordinal_of(statefulset, pod.name) for pod in pods} | {*identity.ordinals(statefulset)}
        found: dict[str, Object] = {}
        for ordinal in ordinals:
            if ordinal is None:
                continue
            for name in identity.claim_names(statefulset, ordinal).values():
                if (claim := self._claims.get(f"{statefulset.namespace}/{name}")) is not None:
                    found[name] = claim
        return found

    async def _carry_out(
        self, statefulset: StatefulSet, decided: Plan, known: Sequence[ControllerRevision]
    ) -> Exception | None:
        """What went wrong, if something did: the status is written all the same."""
        templates = {one.name: revisions.template_of(one) for one in known}
        try:
            await self._hands.carry_out(statefulset, decided, templates)
        except ApiError as error:
            return None if error.namespace_goes else error
        except (aiohttp.ClientError, OSError) as error:
            return error
        return None

    async def _write_status(self, statefulset: StatefulSet, status: StatefulSetStatus) -> None:
        """Against the very revision that it was computed from: it says which revision an update has reached."""
        if status == statefulset.status:
            return
        body: dict[str, Any] = {
            "metadata": {"uid": statefulset.uid, "resourceVersion": statefulset.metadata.resource_version},
            "status": status.to_wire(),
        }
        written = await self._context.client.patch(
            STATEFUL_SETS, statefulset.name, body, namespace=statefulset.namespace, subresource="status"
        )
        await self._sets.wait_for_revision(statefulset.key, written.metadata.resource_version)


def _selector(statefulset: StatefulSet) -> selectors.LabelSelector:
    return selectors.from_object(statefulset.spec.selector.to_wire()) or selectors.EVERYTHING
