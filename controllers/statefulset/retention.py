"""Whose the claims of a StatefulSet are: nobody's, the set's, or those of a pod that is scaled away.

What owns a claim takes it along when it goes, by the garbage collector. This controller deletes no claim.

Source: Kubernetes documentation, "PersistentVolumeClaim retention"; stateful_set_utils.go, isClaimOwnerUpToDate and
updateClaimOwnerRefForSetAndPod.
"""

from __future__ import annotations

from typing import Any

from k8slite import ownership
from k8slite.kinds.apps import StatefulSet
from k8slite.kinds.base import Object, OwnerReference

_SET, _POD = ("apps/v1", "StatefulSet"), ("v1", "Pod")


def stale(claim: Object, statefulset: StatefulSet, *, pod_name: str) -> bool:
    """Whether a claim still belongs to an earlier pod of that name, which is gone: it goes too, and is waited for."""
    policy = statefulset.spec.persistent_volume_claim_retention_policy
    if policy.when_scaled != "Delete":
        return False
    return any(_names(reference, _POD, pod_name) for reference in claim.metadata.owner_references)


def references(
    claim: Object, statefulset: StatefulSet, pod: Object, *, scaled_away: bool
) -> list[dict[str, Any]] | None:
    """The owner references that a claim should have instead of its own; None if they are right, or not ours to touch.

    `scaled_away` says that the pod's number is none of the set's any more.
    """
    present = claim.metadata.owner_references
    ours = [r for r in present if r.uid in (statefulset.uid, pod.uid)]
    named = [r for r in present if _names(r, _SET, statefulset.name) or _names(r, _POD, pod.name)]
    if any(reference not in ours for reference in named):
        return None
    rest = [reference.to_wire() for reference in present if reference not in [*named, *ours]]
    if foreign_controller(claim, statefulset, pod_uid=pod.uid):
        return rest if ours else None
    owner = _owner(statefulset, pod, scaled_away=scaled_away)
    wanted = [owner.uid] if owner is not None else []
    if [r.uid for r in ours] == wanted and all(r.controller for r in ours):
        return None
    return [*rest, *([_controller(owner, statefulset)] if owner is not None else [])]


def foreign_controller(claim: Object, statefulset: StatefulSet, *, pod_uid: str = "") -> bool:
    """Whether something else than the set and the pod manages a claim that the set's policy is about."""
    policy = statefulset.spec.persistent_volume_claim_retention_policy
    if policy.when_deleted != "Delete" and policy.when_scaled != "Delete":
        return False
    return any(r.controller and r.uid not in (statefulset.uid, pod_uid) for r in claim.metadata.owner_references)


def _owner(statefulset: StatefulSet, pod: Object, *, scaled_away: bool) -> Object | None:
    policy = statefulset.spec.persistent_volume_claim_retention_policy
    if scaled_away and policy.when_scaled == "Delete":
        return pod
    return statefulset if policy.when_deleted == "Delete" else None


def _controller(owner: Object, statefulset: StatefulSet) -> dict[str, Any]:
    version, kind = _SET if owner is statefulset else _POD
    return ownership.controller_reference(owner) | {"apiVersion": version, "kind": kind}


def _names(reference: OwnerReference, type_: tuple[str, str], name: str) -> bool:
    return (reference.api_version, reference.kind, reference.name) == (*type_, name)
