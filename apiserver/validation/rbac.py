"""Rules of `rbac.authorization.k8s.io`: roles and bindings.

Source: Kubernetes' validation of the group.
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value, not_supported, required

Document = dict[str, Any]

_ROLE_KINDS = ("ClusterRole", "Role")
_SUBJECT_KINDS = ("Group", "ServiceAccount", "User")


def cluster_role_binding(obj: Document) -> list[Cause]:
    """What is wrong with a RoleBinding or ClusterRoleBinding."""
    causes: list[Cause] = []
    role = obj.get("roleRef") or {}
    allowed = _ROLE_KINDS if obj["metadata"].get("namespace") else _ROLE_KINDS[:1]
    if role.get("kind") not in allowed:
        causes.append(not_supported("roleRef.kind", role.get("kind") or "", allowed))
    if not role.get("name"):
        causes.append(required("roleRef.name"))
    for index, subject in enumerate(obj.get("subjects") or ()):
        here = f"subjects[{index}]"
        if not subject.get("name"):
            causes.append(required(f"{here}.name"))
        kind = subject.get("kind")
        if kind not in _SUBJECT_KINDS:
            causes.append(not_supported(f"{here}.kind", kind or "", _SUBJECT_KINDS))
        elif kind == "ServiceAccount" and not subject.get("namespace"):
            causes.append(required(f"{here}.namespace"))
    return causes


def role_ref_immutable(new: Document, old: Document) -> list[Cause]:
    """A binding is for ever about one role."""
    if new.get("roleRef") == old.get("roleRef"):
        return []
    return [invalid_value("roleRef", new.get("roleRef"), "cannot change roleRef")]
