"""Defaults of `rbac.authorization.k8s.io`: roles and bindings.

Source: Kubernetes API reference (pkg/apis/<group>/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"


def rolebinding(obj: Document) -> None:
    """Fill in a RoleBinding or ClusterRoleBinding: the API groups of the role and the subjects."""
    role = obj.setdefault("roleRef", {})
    if not role.get("apiGroup"):
        role["apiGroup"] = RBAC
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = RBAC
