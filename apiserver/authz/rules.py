"""RBAC rules as values: what one rule allows, and whether some rules cover others. Pure.

Source: Kubernetes documentation, "Using RBAC Authorization".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k8slite.selectors import from_object

ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """A `PolicyRule`. Empty `names` means every name; `urls` are for paths outside the resource API."""

    verbs: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    def allows_kind(self, *, verb: str, group: str, resource: str, subresource: str) -> bool:
        """Whether the rule speaks of this verb on this resource, whatever the object's name."""
        return (
            (verb in self.verbs or ANY in self.verbs)
            and (group in self.groups or ANY in self.groups)
            and self._has(resource, subresource)
        )

    def _has(self, resource: str, subresource: str) -> bool:
        if ANY in self.resources:
            return True
        if not subresource:
            return resource in self.resources
        return f"{resource}/{subresource}" in self.resources or f"*/{subresource}" in self.resources

    def allows_path(self, *, verb: str, path: str) -> bool:
        """Whether the rule allows a verb on a path; a rule's URL may end in `*`."""
        return (verb in self.verbs or ANY in self.verbs) and any(_url_matches(url, path) for url in self.urls)

    def atoms(self) -> Iterable[Rule]:
        """The rule cut into rules of one verb on one resource (and name), or on one URL."""
        for verb in self.verbs:
            for group in self.groups:
                for resource in self.resources:
                    for name in self.names or ("",):
                        yield Rule(
                            frozenset({verb}),
                            frozenset({group}),
                            frozenset({resource}),
                            frozenset({name} if name else ()),
                        )
            for url in self.urls:
                yield Rule(frozenset({verb}), urls=frozenset({url}))

    def covers(self, atom: Rule) -> bool:
        """Whether everything that `atom` allows is allowed by this rule."""
        verb = next(iter(atom.verbs))
        if atom.urls:
            return self.allows_path(verb=verb, path=next(iter(atom.urls)))
        resource, _, subresource = next(iter(atom.resources)).partition("/")
        if not self.allows_kind(verb=verb, group=next(iter(atom.groups)), resource=resource, subresource=subresource):
            return False
        return not self.names or (bool(atom.names) and atom.names <= self.names)

    def document(self) -> dict[str, list[str]]:
        """The rule as the API writes it."""
        fields = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.urls,
        }
        return {key: sorted(values) for key, values in fields.items() if values}

    def __str__(self) -> str:
        names = {
            "APIGroups": self.groups,
            "Resources": self.resources,
            "ResourceNames": self.names,
            "NonResourceURLs": self.urls,
            "Verbs": self.verbs,
        }
        parts = (
            f"{name}:[" + " ".join(f'"{value}"' for value in sorted(values)) + "]"
            for name, values in names.items()
            if values
        )
        return "{" + ", ".join(parts) + "}"


def _url_matches(rule: str, path: str) -> bool:
    return rule in (ANY, path) or (rule.endswith(ANY) and path.startswith(rule[:-1]))


def parse(rules: Iterable[Mapping[str, Any]] | None) -> tuple[Rule, ...]:
    """Read the `rules` of a Role or ClusterRole."""
    return tuple(
        Rule(
            frozenset(rule.get("verbs") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("resources") or ()),
            frozenset(rule.get("resourceNames") or ()),
            frozenset(rule.get("nonResourceURLs") or ()),
        )
        for rule in rules or ()
    )


def uncovered(wanted: Sequence[Rule], *, held: Sequence[Rule]) -> list[Rule]:
    """The parts of `wanted` that no rule of `held` covers."""
    missing = [atom for rule in wanted for atom in rule.atoms() if not any(own.covers(atom) for own in held)]
    return sorted(dict.fromkeys(missing), key=str)


def aggregate(name: str, cluster_roles: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rules of a ClusterRole: its own, or, if it aggregates, those of every role that its selectors match.

    Roles that are aggregated may aggregate themselves (admin takes edit, edit takes view); a circle ends where it
    began. Duplicates appear once.
    """
    gathered: list[dict[str, Any]] = []
    seen: set[str] = set()

    def visit(current: str) -> None:
        if current in seen:
            return
        seen.add(current)
        role = cluster_roles[current]
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
        if not selectors:
            gathered.extend(rule for rule in role.get("rules") or () if rule not in gathered)
            return
        wanted = [selector for selector in map(from_object, selectors) if selector is not None]
        for other in sorted(cluster_roles):
            labels = cluster_roles[other]["metadata"].get("labels") or {}
            if any(selector.matches(labels) for selector in wanted):
                visit(other)

    if name in cluster_roles:
        visit(name)
    return gathered
