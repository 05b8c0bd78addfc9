"""The revisions of a DaemonSet: which one its template is, which hash its new pods carry, and which are kept.

A pod carries its revision's hash (a StatefulSet's carries the name), so a revision without that label gets one. Of
several revisions that hold the same, the newest stays, and pods of the others are counted as its own: nothing is
restarted for it.

Source: kubernetes pkg/controller/daemon/update.go (constructHistory, dedupCurHistories, cleanupHistory).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k8slite import selectors
from k8slite.errors import ApiError
from k8slite.kinds.apps import ControllerRevision, DaemonSet
from k8slite.kinds.resources import CONTROLLER_REVISIONS

from .. import revisions
from ..children import Ledger
from ..context import Context
from ..history import History
from ..pods import PODS, Pod


@dataclass(frozen=True, slots=True)
class Present:
    """The revision of the present template, all the others, and the pods with the hashes that they carry now."""

    current: ControllerRevision
    others: Sequence[ControllerRevision]
    pods: Sequence[Pod]
    collisions: int

    @property
    def hash(self) -> str:
        """What pods of the present template carry."""
        return hash_of(self.current)


def hash_of(revision: ControllerRevision) -> str:
    """What pods of a revision carry."""
    return revision.metadata.labels.get(revisions.POD_LABEL, "")


class Revisions:
    """Reads and writes them. Methods raise ApiError, aiohttp.ClientError and BehindError."""

    def __init__(self, context: Context, history: History[DaemonSet], pods: Ledger[Pod]) -> None:
        self._context = context
        self._history = history
        self._ledger = pods

    async def present(self, daemonset: DaemonSet, selector: selectors.LabelSelector, pods: Sequence[Pod]) -> Present:
        """The revision that stands for the template, made if need be."""
        known = [await self._labelled(one) for one in await self._history.claimed(daemonset, selector)]
        before = daemonset.status.collision_count or 0
        current, collisions = await self._history.newest(
            daemonset, daemonset.spec.template, known, collisions=before, extra_label=revisions.POD_LABEL
        )
        held = revisions.canonical(current.data)
        equals = [one for one in known if one.name != current.name and revisions.canonical(one.data) == held]
        pods = await self._adopt_hashes(daemonset, current, equals, pods)
        for one in equals:
            await self._delete(one)
        gone = {current.name, *(one.name for one in equals)}
        return Present(current, [one for one in known if one.name not in gone], pods, collisions)

    async def trim(self, daemonset: DaemonSet, present: Present) -> None:
        """Drop the oldest beyond the limit, but for those that pods are of; these count all the same."""
        carried = {pod.metadata.labels.get(revisions.POD_LABEL) for pod in present.pods}
        live = {one.name for one in present.others if hash_of(one) in carried}
        limit = daemonset.spec.revision_history_limit - len(live)
        await self._history.trim(daemonset, present.others, live=live, limit=limit)

    async def _labelled(self, revision: ControllerRevision) -> ControllerRevision:
        if hash_of(revision):
            return revision
        hash_ = revision.metadata.labels.get(revisions.HASH_LABEL) or revisions.hash_of(revision.data, collisions=0)
        body = {"metadata": {"uid": revision.uid, "labels": {revisions.POD_LABEL: hash_}}}
        return await self._context.client.patch(CONTROLLER_REVISIONS, revision.name, body, namespace=revision.namespace)

    async def _adopt_hashes(
        self,
        daemonset: DaemonSet,
        current: ControllerRevision,
        equals: Sequence[ControllerRevision],
        pods: Sequence[Pod],
    ) -> Sequence[Pod]:
        """The pods, those of equal revisions relabelled."""
        other = {hash_of(one) for one in equals} - {hash_of(current)}
        if not other:
            return pods
        kept = []
        for pod in pods:
            if pod.metadata.labels.get(revisions.POD_LABEL) in other:
                body = {"metadata": {"uid": pod.uid, "labels": {revisions.POD_LABEL: hash_of(current)}}}
                pod = await self._context.client.patch(PODS, pod.name, body, namespace=pod.namespace)
                self._ledger.wrote(daemonset.key, pod)
            kept.append(pod)
        return kept

    async def _delete(self, revision: ControllerRevision) -> None:
        try:
            await self._context.client.delete(
                CONTROLLER_REVISIONS, revision.name, namespace=revision.namespace, uid=revision.uid
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise
