"""`rbac.authorization.k8s.io/v1`: who may do what."""

from __future__ import annotations

from pydantic import Field

from .base import LabelSelectorModel, Model, Object


class PolicyRule(Model):
    """Verbs on resources, or on URLs outside the resource API."""

    verbs: list[str] = []
    api_groups: list[str] = []
    resources: list[str] = []
    resource_names: list[str] = []
    non_resource_urls: list[str] = Field(default=[], alias="nonResourceURLs")


class AggregationRule(Model):
    """Cluster roles whose rules are joined into this one."""

    cluster_role_selectors: list[LabelSelectorModel] = []


class Role(Object):
    """`Role` or `ClusterRole`."""

    rules: list[PolicyRule] = []
    aggregation_rule: AggregationRule | None = None


class Subject(Model):
    """A user, a group or a service account."""

    kind: str
    name: str
    namespace: str = ""
    api_group: str = ""


class RoleRef(Model):
    """The role that a binding grants."""

    kind: str
    name: str
    api_group: str = ""


class RoleBinding(Object):
    """`RoleBinding` or `ClusterRoleBinding`."""

    subjects: list[Subject] = []
    role_ref: RoleRef
