"""Which pods a DaemonSet makes, which it deletes, and what it says of itself.

First every node gets its one pod and loses what is too much; only when nothing of that is left to do, a rolling update
goes on (`rollout.py`). A pod that is going still holds its node, unless it has ended: two pods are on a node only while
an update with surge has them there.

Source: Kubernetes documentation, "DaemonSet"; kubernetes pkg/controller/daemon (podsShouldBeOnNode, syncNodes,
updateDaemonSetStatus).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from k8slite.kinds.apps import DaemonSet, DaemonSetStatus

from ..pods import Pod, available, available_at
from ..revisions import POD_LABEL
from . import rollout
from .placement import Fit

BURST = 250
"""Pods made, and pods deleted, in one sync at most."""
SOON = 0.05
"""Seconds after which to go on with what one sync left to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync does: nodes that get a pod, pods that go, and of these the ones that ended by themselves."""

    create: tuple[str, ...]
    delete: tuple[Pod, ...]
    ended: tuple[tuple[str, Pod], ...]
    """Pods that failed or succeeded, each with its node."""
    status: DaemonSetStatus
    requeue_after: float | None = None


@dataclass(slots=True)
class _Steps:
    create: list[str] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)
    ended: list[tuple[str, Pod]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


def plan(
    *,
    daemonset: DaemonSet,
    fits: Mapping[str, Fit],
    pods: Sequence[Pod],
    hash_: str,
    now: datetime,
    deleted: Collection[str] = (),
    held: Mapping[str, float] | None = None,
    collisions: int | None = None,
) -> Plan:
    """Decide for a DaemonSet whose present revision has this hash, over all nodes and the pods that it owns.

    `deleted` are UIDs of pods whose deletion the API has accepted, whatever the cache says. `held` are seconds that a
    failed pod must stay on a node before it may be replaced.
    """
    placed, going = by_target(pods, deleted=deleted)
    status, moment = _status(daemonset, fits, placed, hash_=hash_, now=now)
    steps = _manage(daemonset, fits, placed, going=going, hash_=hash_, held=held or {}, now=now)
    if moment is not None:
        steps.waits.append(moment)
    if not steps.create and not steps.delete and daemonset.spec.update_strategy.type == "RollingUpdate":
        turn = rollout.step(daemonset=daemonset, fits=fits, placed=placed, going=going, hash_=hash_, now=now)
        steps.create, steps.delete = list(turn.create), list(turn.delete)
    if len(steps.create) > BURST or len(steps.delete) > BURST:
        steps.waits.append(SOON)
    delete = tuple(steps.delete[:BURST])
    chosen = {pod.uid for pod in delete}
    return Plan(
        create=tuple(steps.create[:BURST]),
        delete=delete,
        ended=tuple(one for one in steps.ended if one[1].uid in chosen),
        status=status.model_copy(update={"collision_count": collisions or daemonset.status.collision_count}),
        requeue_after=min(steps.waits, default=None),
    )


def by_target(pods: Sequence[Pod], *, deleted: Collection[str]) -> tuple[dict[str, list[Pod]], frozenset[str]]:
    """Pods by the node that they are on or are meant for, and the UIDs of those of them that are going.

    Those that have ended and are going are left out: they hold no node any more.
    """
    placed: dict[str, list[Pod]] = {}
    going: list[str] = []
    for pod in pods:
        if pod.deleting or (deleted and pod.uid in deleted):
            if pod.finished:
                continue
            going.append(pod.uid)
        target = pod.spec.node_name or pod.spec.affinity
        if target in placed:
            placed[target].append(pod)
        elif target:
            placed[target] = [pod]
    return placed, frozenset(going)


def _manage(
    daemonset: DaemonSet,
    fits: Mapping[str, Fit],
    placed: Mapping[str, list[Pod]],
    *,
    going: frozenset[str],
    hash_: str,
    held: Mapping[str, float],
    now: datetime,
) -> _Steps:
    """One pod on each node that fits, none where none may stay."""
    steps = _Steps()
    surges = rollout.surges(daemonset)
    for node, verdict in fits.items():
        there = placed.get(node)
        if there is None:
            if verdict is Fit.RUN:
                steps.create.append(node)
            continue
        if verdict is Fit.NO:
            steps.delete += [pod for pod in there if pod.uid not in going]
            continue
        if len(there) == 1 and there[0].status.phase == "Running" and there[0].uid not in going:
            continue  # so it is on nearly every node
        running = [pod for pod in there if pod.uid not in going and not pod.finished]
        ended = [pod for pod in there if pod.uid not in going and pod.finished]
        free = _replace_ended(steps, node, ended, held=held.get(node, 0.0))
        if len(running) > 1:
            in_order = sorted(running, key=_seniority)
            if surges:
                steps.delete += _superfluous(daemonset, in_order, hash_=hash_, now=now)
            else:
                steps.delete += in_order[1:]
        elif surges and not running and free and verdict is Fit.RUN:
            steps.create.append(node)
    for node, there in placed.items():
        if node not in fits:  # bound ones are the pod garbage collector's
            steps.delete += [pod for pod in there if not pod.spec.node_name and pod.uid not in going]
    return steps


def _replace_ended(steps: _Steps, node: str, ended: Sequence[Pod], *, held: float) -> bool:
    """Let those go that ended; False if one that failed has to hold its node for some seconds more."""
    free = True
    for pod in ended:
        if pod.status.phase == "Failed" and held > 0:
            steps.waits.append(held)
            free = False
        else:
            steps.delete.append(pod)
            steps.ended.append((node, pod))
    return free


def _superfluous(daemonset: DaemonSet, in_order: Sequence[Pod], *, hash_: str, now: datetime) -> list[Pod]:
    """What goes of a node's several pods: the eldest of either revision may stay, both only while one is waited for.

    An old pod that is ready keeps the node until the new one is available; one that is not makes room at once.
    """
    old: Pod | None = None
    new: Pod | None = None
    rest = []
    for pod in in_order:
        if pod.metadata.labels.get(POD_LABEL) == hash_ and new is None:
            new = pod
        elif pod.metadata.labels.get(POD_LABEL) != hash_ and old is None:
            old = pod
        else:
            rest.append(pod)
    if old is not None and new is not None:
        minimum = daemonset.spec.min_ready_seconds
        if not old.ready or available(new, min_ready_seconds=minimum, now=now):
            rest.append(old)
    return rest


def _seniority(pod: Pod) -> tuple[bool, str, str]:
    """Those on a node come first, then the older ones."""
    return (not pod.spec.node_name, str(pod.metadata.creation_timestamp or ""), pod.name)


def _status(
    daemonset: DaemonSet, fits: Mapping[str, Fit], placed: Mapping[str, list[Pod]], *, hash_: str, now: datetime
) -> tuple[DaemonSetStatus, float | None]:
    """What is seen now, and after how many seconds a pod becomes available by the mere passing of time."""
    minimum = daemonset.spec.min_ready_seconds
    desired = current = misplaced = ready = ripe = updated = 0
    moments: list[datetime] = []
    for node, verdict in fits.items():
        there = placed.get(node)
        if verdict is not Fit.RUN:
            misplaced += there is not None
            continue
        desired += 1
        if there is None:
            continue
        current += 1
        pod = there[0] if len(there) == 1 else min(there, key=_seniority)
        updated += pod.metadata.labels.get(POD_LABEL) == hash_
        if pod.ready:
            ready += 1
            ripe += not minimum or available(pod, min_ready_seconds=minimum, now=now)
    if minimum:
        of_all = (available_at(pod, min_ready_seconds=minimum) for there in placed.values() for pod in there)
        moments = [moment for moment in of_all if moment is not None and moment > now]
    status = DaemonSetStatus(
        current_number_scheduled=current,
        number_misscheduled=misplaced,
        desired_number_scheduled=desired,
        number_ready=ready,
        observed_generation=daemonset.metadata.generation,
        updated_number_scheduled=updated,
        number_available=ripe,
        number_unavailable=desired - ripe,
        collision_count=None,
    )
    return status, (min(moments) - now).total_seconds() + SOON if moments else None
