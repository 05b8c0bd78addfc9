"""The defaults as objects of the API.

Roles that aggregate have the rules that they gather from the other defaults, so that they are right before any
controller runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..authz.roles import gathered, role_of
from . import components, controllers, users
from .base import BootstrapBinding, BootstrapRole

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
"""While this annotation is `true`, what the defaults say and an object lacks is added at each start."""
_GROUP = "rbac.authorization.k8s.io"
ROLES: tuple[BootstrapRole, ...] = (*users.ROLES, *components.ROLES, *controllers.ROLES)
BINDINGS: tuple[BootstrapBinding, ...] = (*users.BINDINGS, *components.BINDINGS, *controllers.BINDINGS)


def role_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each role with its plural; aggregated roles have the rules that they gather from the others."""
    documents = [_role(role) for role in ROLES]
    known = [role_of(document) for document in documents if document["kind"] == "ClusterRole"]
    for role, document in zip(ROLES, documents, strict=True):
        if role.aggregates:
            document["rules"] = [rule.document() for rule in gathered(role_of(document), known)]
        yield "roles" if role.namespace else "clusterroles", document


def binding_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each binding with its plural."""
    for binding in BINDINGS:
        document: dict[str, Any] = {
            "kind": "RoleBinding" if binding.namespace else "ClusterRoleBinding",
            "metadata": _metadata(binding.name, binding.namespace),
            "roleRef": {
                "apiGroup": _GROUP,
                "kind": binding.role_kind,
                "name": binding.role or binding.name,
            },
        }
        if binding.subjects:
            document["subjects"] = [_subject(text) for text in binding.subjects]
        yield "rolebindings" if binding.namespace else "clusterrolebindings", document


def _role(role: BootstrapRole) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": "Role" if role.namespace else "ClusterRole"}
    document["metadata"] = _metadata(role.name, role.namespace, labels=role.labels)
    if role.aggregates:
        document["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {role.aggregates: "true"}}]}
    document["rules"] = role.rules
    return document


def _metadata(name: str, namespace: str, *, labels: tuple[str, ...] = ()) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"} | dict.fromkeys(labels, "true"),
        "annotations": {AUTOUPDATE: "true"},
    }
    return metadata | ({"namespace": namespace} if namespace else {})


def _subject(text: str) -> dict[str, str]:
    kind, _, name = text.partition(":")
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "name": account, "namespace": namespace}
    return {"kind": kind, "apiGroup": _GROUP, "name": name}
