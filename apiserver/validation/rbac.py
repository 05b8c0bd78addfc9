"""Rules of `rbac.authorization.k8s.io`: roles and bindings.

Source: Kubernetes' rbac validation (ValidateRole, ValidateClusterRole, ValidateRoleBinding).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value, not_supported, required

from . import names
from .selectors import label_selector
from .values import choice, each, named, needed, spelled

Document = dict[str, Any]

_GROUP = "rbac.authorization.k8s.io"
_ROLE_KINDS = ("ClusterRole", "Role")
_SUBJECT_KINDS = ("Group", "ServiceAccount", "User")


def role(obj: Document) -> list[Cause]:
    """What is wrong with a Role."""
    return each(obj.get("rules"), "rules", lambda rule, field: _rule(rule, field, namespaced=True))


def cluster_role(obj: Document) -> list[Cause]:
    """What is wrong with a ClusterRole."""
    causes = each(obj.get("rules"), "rules", lambda rule, field: _rule(rule, field, namespaced=False))
    if (aggregation := obj.get("aggregationRule")) is not None:
        field, selectors = "aggregationRule.clusterRoleSelectors", aggregation.get("clusterRoleSelectors")
        detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        causes += needed(selectors, field, detail) + each(selectors, field, label_selector)
    return causes


def _rule(rule: Document, field: str, *, namespaced: bool) -> list[Cause]:
    causes = needed(rule.get("verbs"), f"{field}.verbs", "verbs must contain at least one value")
    if urls := rule.get("nonResourceURLs"):
        here = f"{field}.nonResourceURLs"
        if namespaced:
            causes.append(invalid_value(here, urls, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            causes.append(invalid_value(here, urls, detail))
        return causes
    for name, what in (("apiGroups", "api group"), ("resources", "resource")):
        causes += needed(rule.get(name), f"{field}.{name}", f"resource rules must supply at least one {what}")
    return causes


def role_binding(obj: Document) -> list[Cause]:
    """What is wrong with a RoleBinding."""
    return _binding(obj, _ROLE_KINDS, namespaced=True)


def cluster_role_binding(obj: Document) -> list[Cause]:
    """What is wrong with a ClusterRoleBinding."""
    return _binding(obj, _ROLE_KINDS[:1], namespaced=False)


def _binding(obj: Document, kinds: tuple[str, ...], *, namespaced: bool) -> list[Cause]:
    ref = obj.get("roleRef") or {}
    causes = choice(ref.get("apiGroup"), "roleRef.apiGroup", (_GROUP,))
    causes += choice(ref.get("kind"), "roleRef.kind", kinds)
    causes += named(ref.get("name"), "roleRef.name", names.path_segment)
    return causes + each(
        obj.get("subjects"), "subjects", lambda subject, field: _subject(subject, field, namespaced=namespaced)
    )


def _subject(subject: Document, field: str, *, namespaced: bool) -> list[Cause]:
    name, kind, group = subject.get("name"), subject.get("kind"), subject.get("apiGroup") or ""
    causes = needed(name, f"{field}.name")
    if kind not in _SUBJECT_KINDS:
        return [*causes, not_supported(f"{field}.kind", kind or "", _SUBJECT_KINDS)]
    if kind != "ServiceAccount":
        return causes + choice(group, f"{field}.apiGroup", (_GROUP,))
    if name:
        causes += spelled(name, f"{field}.name", names.dns_subdomain)
    causes += choice(group, f"{field}.apiGroup", ("",))
    if not namespaced and not subject.get("namespace"):
        causes.append(required(f"{field}.namespace"))
    return causes


def role_ref_immutable(new: Document, old: Document) -> list[Cause]:
    """A binding is for ever about one role."""
    if new.get("roleRef") == old.get("roleRef"):
        return []
    return [invalid_value("roleRef", new.get("roleRef"), "cannot change roleRef")]
