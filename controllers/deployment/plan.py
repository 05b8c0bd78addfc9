"""What one sync of a Deployment does to its ReplicaSets and to its status.

Source: Kubernetes documentation, "Deployments".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from k8slite import conditions
from k8slite.kinds.apps import Deployment, DeploymentStatus, ReplicaSet

from . import rollback, scaling, status, template
from .rollback import Rollback
from .scaling import Bounds
from .status import Step


@dataclass(frozen=True, slots=True)
class Creation:
    """A ReplicaSet to make for the present template."""

    name: str
    hash: str
    replicas: int
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """New annotations and maybe a new size for a ReplicaSet."""

    replicaset: ReplicaSet
    replicas: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    min_ready_seconds: int | None = None

    @property
    def scales(self) -> bool:
        """Whether the size changes."""
        return self.replicas != self.replicaset.spec.replicas


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync does, in this order; `annotations` go on the Deployment itself."""

    create: Creation | None
    change: tuple[Change, ...]
    delete: tuple[ReplicaSet, ...]
    annotations: Mapping[str, str]
    status: DeploymentStatus
    requeue_after: float | None = None
    rollback: Rollback | None = None
    """The Deployment gets another template: nothing else is done before that is seen."""


def plan(
    *, deployment: Deployment, replicasets: Sequence[ReplicaSet], unfinished: Mapping[str, int], now: datetime
) -> Plan:
    """Decide for a Deployment and the ReplicaSets that it owns.

    `unfinished` counts, by ReplicaSet UID, the pods that have not ended: Recreate waits for those of old ones.
    """
    return _Decision(deployment, replicasets, unfinished=unfinished, now=now).plan()


class _Decision:
    """The working state of one decision: sizes start as they are and are then changed."""

    def __init__(
        self, deployment: Deployment, replicasets: Sequence[ReplicaSet], *, unfinished: Mapping[str, int], now: datetime
    ) -> None:
        self._deployment = deployment
        self._everyone = list(replicasets)
        self._unfinished = unfinished
        self._now = now
        self._bounds = Bounds.of(deployment)
        self._new = template.find_new(deployment, replicasets)
        self._old = [rs for rs in replicasets if self._new is None or rs.uid != self._new.uid]
        self._sizes: dict[str, int] = {}
        self._create: Creation | None = None
        self._step = Step()

    def plan(self) -> Plan:
        deployment = self._deployment
        result = status.counts(deployment, new=self._new, everyone=self._everyone, now=self._now)
        if deployment.deleting:
            return Plan(None, (), (), {}, result)
        result = status.pausing(deployment, result, now=self._now)
        revision = rollback.wanted(deployment)
        if revision is not None and self._new is not None and not deployment.spec.paused:
            back = rollback.decide(deployment, self._everyone, revision=revision)
            return Plan(None, tuple(self._changes()), (), {}, result, rollback=back)
        rollout = not deployment.spec.paused and not self._count_changed()
        if not rollout:
            self._sizes |= scaling.proportional(deployment, new=self._new, old=self._old, bounds=self._bounds)
        elif deployment.spec.strategy.type == "Recreate":
            self._recreate()
        else:
            self._roll()
        if rollout:
            result = status.progress(deployment, result, new=self._new, step=self._step, now=self._now)
            result = status.failure(result, new=self._new, everyone=self._everyone, now=self._now)
        clean = deployment.spec.paused or status.complete(deployment, result)
        return Plan(
            create=self._create,
            change=tuple(self._changes()),
            delete=self._history_to_drop() if clean else (),
            annotations=self._deployment_annotations(),
            status=result,
            requeue_after=status.deadline_in(deployment, result, now=self._now),
        )

    def _count_changed(self) -> bool:
        """Whether `spec.replicas` is another than when the ReplicaSets were last sized."""
        sized = [
            template.number(rs.metadata.annotations, template.DESIRED) for rs in self._everyone if rs.spec.replicas
        ]
        return any(desired is not None and desired != self._deployment.spec.replicas for desired in sized)

    def _roll(self) -> None:
        new_replicas = self._size_new()
        self._sizes |= scaling.shrink_old(
            self._deployment, new=self._new, new_replicas=new_replicas, old=self._old, bounds=self._bounds
        )

    def _recreate(self) -> None:
        active = [rs for rs in self._old if rs.spec.replicas]
        if active:
            self._sizes |= {rs.uid: 0 for rs in active}
        elif not any(self._unfinished.get(rs.uid) or rs.status.replicas or not _seen(rs) for rs in self._old):
            self._size_new()

    def _size_new(self) -> int:
        deployment, new = self._deployment, self._new
        current = new.spec.replicas if new else 0
        everything = scaling.total(self._everyone)
        size = scaling.new_size(deployment, current=current, everything=everything, bounds=self._bounds)
        if new is not None:
            self._sizes[new.uid] = size
            turned_back = bool(template.revision_annotations(new.metadata.annotations, self._next_revision()))
            if turned_back or conditions.find(deployment.status.conditions, status.PROGRESSING) is None:
                self._step = Step("FoundNewReplicaSet", f'Found new replica set "{new.name}"')
            return size
        hash_ = template.template_hash(deployment.spec.template, collisions=deployment.status.collision_count)
        name = f"{deployment.name}-{hash_}"
        annotations = template.inherited(deployment) | {template.REVISION: str(self._next_revision())}
        self._create = Creation(name, hash_, size, annotations | self._replica_annotations())
        self._step = Step("NewReplicaSetCreated", f'Created new replica set "{name}"')
        return size

    def _changes(self) -> list[Change]:
        changes = []
        for rs in self._everyone:
            size = self._sizes.get(rs.uid, rs.spec.replicas)
            wanted: dict[str, str] = {}
            minimum = None
            if rs is self._new:
                wanted |= template.inherited(self._deployment)
                wanted |= template.revision_annotations(rs.metadata.annotations, self._next_revision())
                if rs.spec.min_ready_seconds != self._deployment.spec.min_ready_seconds:
                    minimum = self._deployment.spec.min_ready_seconds
            if rs.uid in self._sizes and (size or rs.spec.replicas or rs is self._new):
                wanted |= self._replica_annotations()
            news = {key: value for key, value in wanted.items() if rs.metadata.annotations.get(key) != value}
            if size != rs.spec.replicas or news or minimum is not None:
                changes.append(Change(rs, size, news, minimum))
        return changes

    def _next_revision(self) -> int:
        return max((template.revision(rs.metadata.annotations) for rs in self._old), default=0) + 1

    def _replica_annotations(self) -> dict[str, str]:
        wanted = self._deployment.spec.replicas
        return {template.DESIRED: str(wanted), template.MAXIMUM: str(wanted + self._bounds.surge)}

    def _deployment_annotations(self) -> dict[str, str]:
        if self._new is None and self._create is None:
            return {}
        known = template.revision(self._new.metadata.annotations) if self._new else 0
        wanted = str(max(known, self._next_revision()))
        return (
            {}
            if self._deployment.metadata.annotations.get(template.REVISION) == wanted
            else {template.REVISION: wanted}
        )

    def _history_to_drop(self) -> tuple[ReplicaSet, ...]:
        limit = self._deployment.spec.revision_history_limit
        kept = template.by_age(rs for rs in self._old if not rs.deleting)
        oldest = sorted(kept, key=lambda rs: template.revision(rs.metadata.annotations))[: max(0, len(kept) - limit)]
        return tuple(rs for rs in oldest if not rs.spec.replicas and not rs.status.replicas and _seen(rs))


def _seen(rs: ReplicaSet) -> bool:
    """Whether the ReplicaSet's own controller knows its size: until then it may still make pods."""
    return rs.metadata.generation <= rs.status.observed_generation
