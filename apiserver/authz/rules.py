"""RBAC rules as values: what one rule allows, and whether some rules cover others. Pure.

Source: Kubernetes documentation, "Using RBAC Authorization".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

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
            (verb in self.verbs or ANY in self.verbs) and self._holds_group(group) and self._has(resource, subresource)
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
        if (verb not in self.verbs and ANY not in self.verbs) or not self._holds_group(next(iter(atom.groups))):
            return False
        resource = next(iter(atom.resources))
        if ANY not in self.resources and resource not in self.resources:
            _, slash, subresource = resource.partition("/")
            if not slash or f"*/{subresource}" not in self.resources:
                return False
        return not self.names or (bool(atom.names) and atom.names <= self.names)

    def _holds_group(self, group: str) -> bool:
        return group in self.groups or ANY in self.groups

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
    return rule in (ANY, path) or (rule.endswith(ANY) and path.startswith(rule.rstrip(ANY)))


def parse(rules: Iterable[Mapping[str, Any]] | None) -> tuple[Rule, ...]:
    """Read the `rules` of a Role or ClusterRole."""
    return tuple(
        Rule(
            _words(tuple(rule.get("verbs") or ())),
            _words(tuple(rule.get("apiGroups") or ())),
            _words(tuple(rule.get("resources") or ())),
            _words(tuple(rule.get("resourceNames") or ())),
            _words(tuple(rule.get("nonResourceURLs") or ())),
        )
        for rule in rules or ()
    )


@lru_cache(maxsize=1024)
def _words(words: tuple[str, ...]) -> frozenset[str]:
    """One set for all rules that name the same words in the same order, as most do."""
    return frozenset(words)


def uncovered(wanted: Sequence[Rule], *, held: Sequence[Rule]) -> list[Rule]:
    """The parts of `wanted` that no rule of `held` covers, those of one resource joined."""
    missing = [atom for rule in wanted for atom in rule.atoms() if not any(own.covers(atom) for own in held)]
    return sorted(_joined(missing), key=str)


def _joined(atoms: Iterable[Rule]) -> Iterable[Rule]:
    verbs: dict[Rule, frozenset[str]] = {}
    for atom in atoms:
        # Paths stay apart, as Kubernetes lists them.
        place = atom if atom.urls else replace(atom, verbs=_NOTHING)
        verbs[place] = verbs.get(place, _NOTHING) | atom.verbs
    return [replace(place, verbs=words) for place, words in verbs.items()]


_NOTHING: frozenset[str] = frozenset()
