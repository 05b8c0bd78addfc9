"""The claims of a pod: those that it names, and those that are made for it; what stands in the way of using them.

Source: Kubernetes documentation, "Persistent Volumes" and "Ephemeral Volumes"; the words are the VolumeBinding
plugin's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from k8slite.kinds.storage import DELAYED

from ..view import Pod
from .objects import Claim

if TYPE_CHECKING:
    from .state import Storage

UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


class Wanted(NamedTuple):
    """A claim that a volume of a pod stands for; an ephemeral one must have been made for the pod."""

    namespace: str
    name: str
    ephemeral: bool

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def wanted(pod: Pod) -> Iterator[Wanted]:
    """The claims of a pod's volumes."""
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield Wanted(pod.namespace, volume.persistent_volume_claim.claim_name, ephemeral=False)
        elif volume.ephemeral is not None:
            yield Wanted(pod.namespace, f"{pod.name}-{volume.name}", ephemeral=True)


def not_found(name: str) -> str:
    """What is said of a claim that is not there."""
    return f'persistentvolumeclaim "{name}" not found'


@dataclass(frozen=True, slots=True)
class PodClaims:
    """The claims of a pod, each once: bound to a volume, or to be bound once its node is known."""

    bound: tuple[Claim, ...]
    delayed: tuple[Claim, ...]

    def __bool__(self) -> bool:
        return bool(self.bound or self.delayed)


def claims_of(pod: Pod, storage: Storage) -> PodClaims | str:
    """The claims of a pod, or why it cannot run anywhere with them."""
    found: dict[str, Claim] = {}
    for want in wanted(pod):
        claim = storage.claims.get(want.key)
        if problem := _problem(want, claim, pod):
            return problem
        if claim is not None:
            found[want.key] = claim
    bound, delayed = [], []
    for claim in found.values():
        if claim.bound:
            bound.append(claim)
        elif _delayed(claim, storage):
            delayed.append(claim)
        else:
            return UNBOUND
    return PodClaims(tuple(bound), tuple(delayed))


def _problem(want: Wanted, claim: Claim | None, pod: Pod) -> str:
    if claim is None:
        if want.ephemeral:
            return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{want.name}"'
        return not_found(want.name)
    if claim.status.phase == "Lost":
        lost = claim.spec.volume_name
        return f'persistentvolumeclaim "{want.name}" bound to non-existent persistentvolume "{lost}"'
    if claim.deleting:
        return f'persistentvolumeclaim "{want.name}" is being deleted'
    if want.ephemeral and not claim.owned_by(pod.uid):
        return foreign(want, pod)
    return ""


def foreign(want: Wanted, pod: Pod) -> str:
    """What is said of an ephemeral volume's claim that is somebody else's."""
    return f"PVC {want.key} was not created for pod {pod.key} (pod is not owner)"


def _delayed(claim: Claim, storage: Storage) -> bool:
    """Whether a volume is looked for once the pod's node is known; a claim that names its volume is bound at once."""
    found = storage.class_of(claim)
    return found is not None and found.volume_binding_mode == DELAYED and not claim.spec.volume_name
