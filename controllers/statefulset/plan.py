"""What one sync of a StatefulSet does to its pods and their claims, and the status that follows.

The order is upstream's: living numbers upwards, then numbers that are too many downwards, then the update downwards.
With OrderedReady every step waits for the one before it; with Parallel only the update keeps count of what is down.

Source: Kubernetes documentation, "StatefulSets"; pkg/controller/statefulset/stateful_set_control.go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from k8slite import intorstr
from k8slite.kinds.apps import RollingUpdateStatefulSet, StatefulSet, StatefulSetStatus
from k8slite.kinds.base import Object

from ..pods import Pod, available
from . import identity, retention, status
from .status import Revisions


@dataclass(frozen=True, slots=True)
class Birth:
    """A pod to make, and of which revision."""

    ordinal: int
    revision: str


@dataclass(frozen=True, slots=True)
class Mend:
    """What to put right about a pod: its labels, its volumes (by name, with their claims), its claims' owners."""

    pod: Pod
    labels: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[tuple[Object, list[dict[str, Any]]], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync does, in this order; `in_order` puts mending first.

    `provide` are numbers of pods that wait for claims that are not there.
    """

    in_order: bool
    create: tuple[Birth, ...]
    mend: tuple[Mend, ...]
    provide: tuple[int, ...]
    release: tuple[Mend, ...]
    """Claims of pods that are scaled away, which must have their new owners before the pods go."""
    delete: tuple[Pod, ...]
    conflicting: tuple[str, ...]
    """Claims that others manage, which the set's policy is not carried out on."""
    status: StatefulSetStatus
    requeue_after: float | None = None


def plan(
    *,
    statefulset: StatefulSet,
    pods: Sequence[Pod],
    claims: Mapping[str, Object],
    revisions: Revisions,
    now: datetime,
    deleted: Collection[str] = (),
) -> Plan:
    """Decide for a StatefulSet and its pods.

    `claims` are those of its pods by name; `deleted` are UIDs of pods whose deletion the API has accepted.
    """
    return _Decision(statefulset, pods, claims=claims, revisions=revisions, now=now, deleted=deleted).plan()


class _Decision:
    """The working state of one decision."""

    def __init__(
        self,
        statefulset: StatefulSet,
        pods: Sequence[Pod],
        *,
        claims: Mapping[str, Object],
        revisions: Revisions,
        now: datetime,
        deleted: Collection[str],
    ) -> None:
        self._set = statefulset
        self._claims = claims
        self._revisions = revisions
        self._now = now
        self._deleted = deleted
        numbered = {identity.ordinal_of(statefulset, pod.name): pod for pod in pods}
        self._pods = {ordinal: pod for ordinal, pod in numbered.items() if ordinal is not None}
        self._ordinals = identity.ordinals(statefulset)
        self._condemned = sorted((o for o in self._pods if o not in self._ordinals), reverse=True)
        self._ordered = statefulset.spec.pod_management_policy != "Parallel"
        self._create: list[Birth] = []
        self._provide: list[int] = []
        self._mend: list[Mend] = []
        self._release: list[Mend] = []
        self._delete: list[Pod] = []
        self._conflicting: list[str] = []
        self._updated_away = 0

    def plan(self) -> Plan:
        if not self._set.deleting and self._fill() and self._shrink():
            self._update()
        everyone = list(self._pods.values())
        result = status.counts(self._set, everyone, self._revisions, now=self._now, terminating=self._terminating)
        result = result.model_copy(update={"current_replicas": max(0, result.current_replicas - self._updated_away)})
        return Plan(
            in_order=self._ordered,
            create=tuple(self._create),
            mend=tuple(self._mend),
            provide=tuple(self._provide),
            release=tuple(self._release),
            delete=tuple(self._delete),
            conflicting=tuple(self._conflicting),
            status=status.completed(self._set, result),
            requeue_after=status.next_available(self._set, everyone, now=self._now),
        )

    def _fill(self) -> bool:
        """See to the numbers that are to be; False if the rest has to wait for one of them."""
        return all(not self._waits_for(ordinal) or not self._ordered for ordinal in self._ordinals)

    def _waits_for(self, ordinal: int) -> bool:
        """See to one number; whether its successors must wait."""
        pod = self._pods.get(ordinal)
        if pod is None:
            if not self._stale(ordinal):
                self._create.append(Birth(ordinal, self._revision_for(ordinal)))
                self._conflicting += (
                    c.name for c in self._present(ordinal) if retention.foreign_controller(c, self._set)
                )
            return True
        if pod.finished:
            if not self._terminating(pod):
                self._delete.append(pod)
            return True
        if self._terminating(pod):
            return True
        if pod.status.phase == "Pending" and len(self._present(ordinal)) < len(self._set.spec.volume_claim_templates):
            self._provide.append(ordinal)
        waits = self._ordered and self._unavailable(pod)
        self._mend_if_needed(pod, ordinal, only_owners=waits)
        return waits

    def _present(self, ordinal: int) -> list[Object]:
        """The claims of a number that are there."""
        names = identity.claim_names(self._set, ordinal).values()
        return [claim for name in names if (claim := self._claims.get(name)) is not None]

    def _stale(self, ordinal: int) -> bool:
        name = identity.pod_name(self._set, ordinal)
        return any(retention.stale(claim, self._set, pod_name=name) for claim in self._present(ordinal))

    def _revision_for(self, ordinal: int) -> str:
        """A new pod below the partition is made as those beside it are, by the current revision."""
        strategy = self._set.spec.update_strategy
        if strategy.type != "RollingUpdate":
            return self._revisions.update
        rolling = strategy.rolling_update
        below = self._set.status.current_replicas if rolling is None else rolling.partition
        return self._revisions.current if ordinal < self._ordinals.start + below else self._revisions.update

    def _mend_if_needed(self, pod: Pod, ordinal: int, *, only_owners: bool) -> None:
        """A pod that serves no one yet is let alone, but its claims are not."""
        owners = self._owners(pod, ordinal, scaled_away=False)
        labels = {} if only_owners else identity.missing_labels(self._set, pod, ordinal)
        volumes = {} if only_owners else identity.missing_volumes(self._set, pod, ordinal)
        if labels or volumes or owners:
            self._mend.append(Mend(pod, labels, volumes, owners))

    def _owners(self, pod: Pod, ordinal: int, *, scaled_away: bool) -> tuple[tuple[Object, list[dict[str, Any]]], ...]:
        changes = []
        for claim in self._present(ordinal):
            wanted = retention.references(claim, self._set, pod, scaled_away=scaled_away)
            if wanted is None:
                continue
            changes.append((claim, wanted))
            if retention.foreign_controller(claim, self._set, pod_uid=pod.uid):
                self._conflicting.append(claim.name)
        return tuple(changes)

    def _shrink(self) -> bool:
        """Let the highest number go that is too many; False if the update has to wait for it."""
        for ordinal in self._condemned:
            pod = self._pods[ordinal]
            if owners := self._owners(pod, ordinal, scaled_away=True):
                self._release.append(Mend(pod, owners=owners))
        lowest_unavailable = next((o for o in reversed(self._condemned) if self._unavailable(self._pods[o])), None)
        for ordinal in self._condemned:
            pod = self._pods[ordinal]
            if not self._terminating(pod):
                if self._ordered and not self._available(pod) and ordinal != lowest_unavailable:
                    return False
                self._delete.append(pod)
            if self._ordered:
                return False
        return True

    def _update(self) -> None:
        """Let pods of other revisions go, from the highest number down, while few enough are down."""
        strategy = self._set.spec.update_strategy
        if strategy.type != "RollingUpdate":
            return
        rolling = strategy.rolling_update or RollingUpdateStatefulSet()
        budget = max(1, intorstr.scaled(rolling.max_unavailable, len(self._ordinals), round_up=False))
        budget -= sum(1 for ordinal in self._ordinals if self._unavailable(self._pods.get(ordinal)))
        outdated = [
            pod
            for ordinal in reversed(self._ordinals[rolling.partition :])
            if (pod := self._pods.get(ordinal)) is not None
            and identity.revision_of(pod) != self._revisions.update
            and not self._terminating(pod)
            and not pod.finished
        ]
        if not self._ordered:
            # What serves nobody costs nothing: it is not held back by itself.
            broken = [pod for pod in outdated if not self._available(pod)]
            outdated = [pod for pod in outdated if self._available(pod)]
            self._take_for_update(broken)
        self._take_for_update(outdated[: max(budget, 0)])

    def _take_for_update(self, pods: Sequence[Pod]) -> None:
        self._delete += pods
        self._updated_away += sum(identity.revision_of(pod) == self._revisions.current for pod in pods)

    def _terminating(self, pod: Pod) -> bool:
        return pod.deleting or pod.uid in self._deleted

    def _available(self, pod: Pod) -> bool:
        minimum = self._set.spec.min_ready_seconds
        return status.ready(pod) and available(pod, min_ready_seconds=minimum, now=self._now)

    def _unavailable(self, pod: Pod | None) -> bool:
        return pod is None or self._terminating(pod) or not self._available(pod)
