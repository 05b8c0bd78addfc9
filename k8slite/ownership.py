"""Owner references: who manages an object, and how a controller claims what its selector matches.

Source: Kubernetes documentation, "Owners and Dependents"; kubernetes controller_ref_manager for adoption and release.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic

from .kinds.base import K, Object
from .selectors import LabelSelector


def controller_reference(owner: Object) -> dict[str, Any]:
    """The reference that makes `owner` the manager of an object, and holds `owner` in a foreground deletion."""
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


@dataclass(frozen=True, slots=True)
class Claims(Generic[K]):
    """What belongs to an owner, what it should take over, and what it should let go."""

    owned: tuple[K, ...]
    adopt: tuple[K, ...]
    release: tuple[K, ...]


def claim(owner: Object, candidates: Iterable[K], *, selector: LabelSelector) -> Claims[K]:
    """Sort the candidates. An owner that is being deleted neither adopts nor releases."""
    owned, adopt, release = [], [], []
    for candidate in candidates:
        controller = candidate.metadata.controller
        matches = selector.matches(candidate.metadata.labels)
        if controller is not None:
            if controller.uid != owner.uid:
                continue
            if matches:
                owned.append(candidate)
            elif not owner.deleting:
                release.append(candidate)
        elif matches and not owner.deleting and not candidate.deleting:
            adopt.append(candidate)
    return Claims(tuple(owned), tuple(adopt), tuple(release))


def adoption(child: Object, owner: Object) -> dict[str, Any]:
    """The merge patch that makes `owner` the controller of `child`; fails if the child changed meanwhile."""
    references = [reference.to_wire() for reference in child.metadata.owner_references]
    return {
        "metadata": {
            "uid": child.uid,
            "resourceVersion": child.metadata.resource_version,
            "ownerReferences": [*references, controller_reference(owner)],
        }
    }


def release(child: Object, owner: Object) -> dict[str, Any]:
    """The merge patch that takes `owner` out of the child's references; fails if the child changed meanwhile."""
    references = [r.to_wire() for r in child.metadata.owner_references if r.uid != owner.uid]
    return {
        "metadata": {
            "uid": child.uid,
            "resourceVersion": child.metadata.resource_version,
            "ownerReferences": references or None,
        }
    }
