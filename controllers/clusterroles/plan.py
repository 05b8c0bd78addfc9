"""The rules of a ClusterRole that aggregates others: those of all roles that its selectors match, each once.

The API server judges by what the selectors match at each moment. What stands in `rules` is for people and for tools
that read roles.

Source: Kubernetes documentation, "Aggregated ClusterRoles"; its clusterroleaggregation controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k8slite.kinds.rbac import PolicyRule, Role
from k8slite.selectors import LabelSelector, from_object

_Rule = tuple[frozenset[str], ...]


def aggregates(role: Role) -> bool:
    """Whether a role gathers the rules of others."""
    return role.aggregation_rule is not None and bool(role.aggregation_rule.cluster_role_selectors)


def plan(role: Role, roles: Iterable[Role]) -> list[PolicyRule] | None:
    """The rules that a role should have; None if it has them, in whatever order, or gathers none."""
    if role.aggregation_rule is None or not aggregates(role):
        return None
    wire = (selector.to_wire() for selector in role.aggregation_rule.cluster_role_selectors)
    selectors = [selector for selector in map(from_object, wire) if selector is not None]
    others = sorted((other for other in roles if other.name != role.name), key=lambda other: other.name)
    gathered: dict[_Rule, PolicyRule] = {}
    for other in others:
        if _matches(selectors, other):
            for rule in other.rules:
                gathered.setdefault(_comparable(rule), rule)
    return None if gathered.keys() == {_comparable(rule) for rule in role.rules} else list(gathered.values())


def _matches(selectors: Sequence[LabelSelector], role: Role) -> bool:
    return any(selector.matches(role.metadata.labels) for selector in selectors)


def _comparable(rule: PolicyRule) -> _Rule:
    words = (rule.verbs, rule.api_groups, rule.resources, rule.resource_names, rule.non_resource_urls)
    return tuple(frozenset(part) for part in words)
