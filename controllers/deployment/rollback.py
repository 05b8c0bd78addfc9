"""The old way back: the annotation `deprecated.deployment.rollback.to` names a revision whose template is to return.

`kubectl rollout undo` writes the template itself; this is what clients of the first API versions leave behind, and what
they get is the event that they wait for. Source: Kubernetes, deployment controller, rollback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k8slite.kinds.apps import Deployment, ReplicaSet

from . import template

ROLLBACK_TO = "deprecated.deployment.rollback.to"

NOT_FOUND = "DeploymentRollbackRevisionNotFound"
UNCHANGED = "DeploymentRollbackTemplateUnchanged"
DONE = "DeploymentRollback"


@dataclass(frozen=True, slots=True)
class Rollback:
    """The annotations that the Deployment has afterwards, its template if that changes, and what is said of it."""

    annotations: Mapping[str, str]
    template: Mapping[str, Any] | None
    reason: str
    message: str

    @property
    def done(self) -> bool:
        """Whether the template goes back."""
        return self.template is not None


def wanted(deployment: Deployment) -> int | None:
    """The revision that is asked for, 0 for the one before the newest; None if nothing, or nonsense, is asked."""
    text = deployment.metadata.annotations.get(ROLLBACK_TO, "")
    return int(text) if text.removeprefix("-").isdecimal() else None


def decide(deployment: Deployment, everyone: Sequence[ReplicaSet], *, revision: int) -> Rollback:
    """What becomes of the wish; in any case it is taken away, so that it is carried out once."""
    kept = {key: value for key, value in deployment.metadata.annotations.items() if key != ROLLBACK_TO}
    if not revision and not (revision := _last_revision(everyone)):
        return Rollback(kept, None, NOT_FOUND, "Unable to find last revision.")
    found = next((rs for rs in everyone if template.revision(rs.metadata.annotations) == revision), None)
    if found is None:
        return Rollback(kept, None, NOT_FOUND, "Unable to find the revision to rollback to.")
    if template.canonical(found.spec.template) == template.canonical(deployment.spec.template):
        message = f'The rollback revision contains the same template as current deployment "{deployment.name}"'
        return Rollback(kept, None, UNCHANGED, message)
    # The annotations went to the ReplicaSet with its template, and come back with it: its change cause above all.
    own = {key: value for key, value in kept.items() if key in template.NOT_COPIED}
    back = {key: value for key, value in found.metadata.annotations.items() if key not in template.NOT_COPIED}
    message = f'Rolled back deployment "{deployment.name}" to revision {revision}'
    return Rollback(own | back, template.unlabelled(found.spec.template), DONE, message)


def _last_revision(everyone: Sequence[ReplicaSet]) -> int:
    revisions = sorted(template.revision(rs.metadata.annotations) for rs in everyone)
    return revisions[-2] if len(revisions) > 1 else 0
