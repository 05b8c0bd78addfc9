"""How many pods each ReplicaSet of a Deployment should have. Pure arithmetic over ReplicaSets.

Source: Kubernetes documentation, "Deployments": rolling update, max surge and unavailable, proportional scaling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from k8slite import intorstr
from k8slite.kinds.apps import Deployment, ReplicaSet, RollingUpdateDeployment

from . import template


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a rolling update may stray from the wanted count."""

    surge: int
    unavailable: int

    @classmethod
    def of(cls, deployment: Deployment) -> Bounds:
        """Surge rounds up and unavailability down; both zero would never move, so one pod may be missing then."""
        wanted, strategy = deployment.spec.replicas, deployment.spec.strategy
        if strategy.type != "RollingUpdate":
            return cls(0, 0)
        limits = strategy.rolling_update or RollingUpdateDeployment()
        surge = intorstr.scaled(limits.max_surge, wanted, round_up=True)
        unavailable = intorstr.scaled(limits.max_unavailable, wanted, round_up=False)
        if not surge and not unavailable:
            unavailable = 1
        return cls(surge, min(unavailable, wanted))


def total(replicasets: Sequence[ReplicaSet]) -> int:
    """The pods that these ReplicaSets are to have."""
    return sum(rs.spec.replicas for rs in replicasets)


def available(replicasets: Sequence[ReplicaSet]) -> int:
    """The pods that serve."""
    return sum(rs.status.available_replicas for rs in replicasets)


def new_size(deployment: Deployment, *, current: int, everything: int, bounds: Bounds) -> int:
    """The size of the new ReplicaSet, which has `current` of the `everything` pods there are to be."""
    wanted = deployment.spec.replicas
    if current >= wanted or deployment.spec.strategy.type != "RollingUpdate":
        return wanted
    room = wanted + bounds.surge - everything
    return current + max(0, min(room, wanted - current))


def shrink_old(
    deployment: Deployment, *, new: ReplicaSet | None, new_replicas: int, old: Sequence[ReplicaSet], bounds: Bounds
) -> Mapping[str, int]:
    """New sizes of old ReplicaSets by UID: first what does not serve anyway, then what can be spared.

    Pods of the new ReplicaSet that do not serve yet count as missing, so that a bad template stops the update.
    """
    minimum = deployment.spec.replicas - bounds.unavailable
    new_available = _lasting(new) if new else 0
    spare = total(old) + new_replicas - minimum - max(0, new_replicas - new_available)
    sizes = {rs.uid: rs.spec.replicas for rs in old}
    if spare <= 0:
        return {}
    left = spare
    for rs in template.by_age(old):
        broken = max(0, min(left, sizes[rs.uid] - rs.status.available_replicas))
        sizes[rs.uid] -= broken
        left -= broken
    surplus = min(left, available(old) + new_available - minimum)
    for rs in template.by_age(old):
        taken = max(0, min(surplus, sizes[rs.uid]))
        sizes[rs.uid] -= taken
        surplus -= taken
    return {rs.uid: sizes[rs.uid] for rs in old if sizes[rs.uid] != rs.spec.replicas}


def _lasting(rs: ReplicaSet) -> int:
    """Pods of the new ReplicaSet that serve and are to stay.

    One that was gone back to may be shrinking still until it has seen that it grows again; any other has only grown.
    """
    gone_back_to = template.REVISION_HISTORY in rs.metadata.annotations
    if gone_back_to and rs.status.observed_generation < rs.metadata.generation:
        return 0
    return min(rs.status.available_replicas, rs.spec.replicas)


def proportional(
    deployment: Deployment, *, new: ReplicaSet | None, old: Sequence[ReplicaSet], bounds: Bounds
) -> Mapping[str, int]:
    """Sizes by UID after the Deployment's own count changed: a rollout under way keeps its proportions."""
    wanted = deployment.spec.replicas
    everyone = [*([new] if new else []), *old]
    active = [rs for rs in everyone if rs.spec.replicas > 0]
    if len(active) <= 1:
        latest = active[0] if active else new or next(reversed(template.by_age(old)), None)
        return {latest.uid: wanted} if latest else {}
    if new is not None and _saturated(deployment, new):
        return {rs.uid: 0 for rs in active if rs.uid != new.uid}
    if deployment.spec.strategy.type != "RollingUpdate":
        return {rs.uid: rs.spec.replicas for rs in active}
    allowed = wanted + bounds.surge if wanted > 0 else 0
    change = allowed - total(active)
    # Larger ones first; of equals the newest grows first and the oldest shrinks first.
    ages = template.by_age(active)
    ordered = sorted(reversed(ages) if change > 0 else ages, key=lambda rs: -rs.spec.replicas)
    sizes, added = {}, 0
    for rs in ordered:
        share = _share(deployment, rs, change=change, added=added, bounds=bounds) if change else 0
        sizes[rs.uid] = rs.spec.replicas + share
        added += share
    if change:
        first = ordered[0].uid
        sizes[first] = max(0, sizes[first] + change - added)
    return sizes


def _saturated(deployment: Deployment, new: ReplicaSet) -> bool:
    wanted = deployment.spec.replicas
    desired = template.number(new.metadata.annotations, template.DESIRED)
    return desired == wanted == new.spec.replicas == new.status.available_replicas


def _share(deployment: Deployment, rs: ReplicaSet, *, change: int, added: int, bounds: Bounds) -> int:
    left = change - added
    if not rs.spec.replicas or not left:
        return 0
    wanted = deployment.spec.replicas
    if not wanted:
        fraction = -rs.spec.replicas
    else:
        before = template.number(rs.metadata.annotations, template.MAXIMUM) or deployment.status.replicas
        if not before:
            return 0
        fraction = math.floor(rs.spec.replicas * (wanted + bounds.surge) / before + 0.5) - rs.spec.replicas
    return min(fraction, left) if change > 0 else max(fraction, left)
