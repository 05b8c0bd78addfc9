"""Which claims a pod's ephemeral volumes lack, and which are somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from k8slite import ownership
from k8slite.kinds.storage import PersistentVolumeClaim

from ..pods import Pod

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Volumes whose claims are to be made, and why others cannot be used, each by the volume's name."""

    create: tuple[str, ...] = ()
    conflicts: tuple[tuple[str, str], ...] = ()


def claim_name(pod: str, volume: str) -> str:
    """The name of the claim that is made for a volume of a pod."""
    return f"{pod}-{volume}"


def plan(*, pod: Pod, claim: Callable[[str], PersistentVolumeClaim | None]) -> Plan:
    """`claim` tells what there is under a name. A pod that is to go gets nothing any more."""
    if pod.deleting:
        return Plan()
    create, conflicts = [], []
    for volume in pod.spec.volumes:
        if not volume.ephemeral:
            continue
        found = claim(claim_name(pod.name, volume.name))
        if found is None:
            create.append(volume.name)
        elif not made_for(found, pod):
            conflicts.append((volume.name, foreign(found, pod)))
    return Plan(tuple(create), tuple(conflicts))


def made_for(claim: PersistentVolumeClaim, pod: Pod) -> bool:
    """Whether the claim was made for that very pod."""
    owner = claim.metadata.controller
    return owner is not None and owner.uid == pod.uid


def foreign(claim: PersistentVolumeClaim, pod: Pod) -> str:
    """What is said of a claim that has the name but is not the pod's."""
    return f"PVC {claim.key} was not created for pod {pod.key} (pod is not owner)"


def body(pod: Pod, volume: str, template: Body) -> Body:
    """The claim of a volume by its `volumeClaimTemplate`."""
    given = template.get("metadata") or {}
    metadata: Body = {
        "name": claim_name(pod.name, volume),
        "ownerReferences": [ownership.controller_reference(pod) | {"apiVersion": "v1", "kind": "Pod"}],
    }
    metadata |= {name: given[name] for name in ("annotations", "labels") if given.get(name)}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": template.get("spec") or {},
    }
