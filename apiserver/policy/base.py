"""How default roles and bindings are written down.

A rule is `rule(verbs, resources, groups)`, each several words separated by spaces, the core group as `core`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Rules = list[dict[str, Any]]

READ = "get list watch"
WRITE = "create delete deletecollection patch update"
TOUCH = "create patch update"
ALL = "*"


def rule(verbs: str, resources: str, groups: str = "core", *, names: str = "") -> dict[str, Any]:
    """A rule about resources."""
    written: dict[str, Any] = {
        "verbs": verbs.split(),
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
    }
    return written | ({"resourceNames": names.split()} if names else {})


def urls(paths: str, verbs: str = "get") -> dict[str, Any]:
    """A rule about paths outside the resource API."""
    return {"verbs": verbs.split(), "nonResourceURLs": paths.split()}


EVENTS = rule(TOUCH, "events", "core events.k8s.io")


@dataclass(frozen=True, slots=True)
class BootstrapRole:
    """A ClusterRole, or (with a namespace) a Role. `aggregates` names the label by which it gathers others."""

    name: str
    rules: Rules
    namespace: str = ""
    labels: tuple[str, ...] = ()
    aggregates: str = ""


@dataclass(frozen=True, slots=True)
class BootstrapBinding:
    """A binding to the role of the same name (or `role`), in the role's namespace. Subjects: `User:x`, `Group:x`,
    `ServiceAccount:namespace/x`.
    """

    name: str
    subjects: tuple[str, ...]
    namespace: str = ""
    role: str = ""
    role_kind: str = "ClusterRole"
