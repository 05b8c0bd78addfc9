"""Which flow schema a request falls under. Pure.

Schemas are asked in the order of their precedence, then of their names; the first that matches has the request.

Source: Kubernetes' apiserver, util/flowcontrol/rule.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..authn.base import User
from ..wire.request import RequestInfo

Document = dict[str, Any]

_ALL = "*"
_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Subjects:
    """Users by name, group, or ServiceAccount; `*` stands for all."""

    users: frozenset[str]
    groups: frozenset[str]
    namespaces: tuple[str, ...]
    """What the names of all ServiceAccounts of a namespace begin with."""

    def match(self, user: User) -> bool:
        """Whether a user is one of them."""
        if user.name in self.users or _ALL in self.users or _ALL in self.groups:
            return True
        return not self.groups.isdisjoint(user.groups) or user.name.startswith(self.namespaces)


@dataclass(frozen=True, slots=True)
class ResourceRule:
    """Requests for objects. Resources are `pods` or `pods/status`."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    namespaces: frozenset[str]
    cluster_scope: bool

    def match(self, info: RequestInfo) -> bool:
        """Whether a request for an object is meant."""
        resource = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
        if not (_has(self.verbs, info.verb) and _has(self.resources, resource) and _has(self.groups, info.group)):
            return False
        return _has(self.namespaces, info.namespace) if info.namespace else self.cluster_scope


@dataclass(frozen=True, slots=True)
class UrlRule:
    """Requests for anything else, by path; `/healthz/*` means what is below."""

    verbs: frozenset[str]
    paths: tuple[str, ...]

    def match(self, info: RequestInfo) -> bool:
        """Whether a request for no object is meant."""
        return _has(self.verbs, info.verb) and any(_below(info.path, path) for path in self.paths)


@dataclass(frozen=True, slots=True)
class Rule:
    """Subjects, and what they ask for."""

    subjects: Subjects
    resources: tuple[ResourceRule, ...]
    urls: tuple[UrlRule, ...]

    def match(self, user: User, info: RequestInfo) -> bool:
        """Whether the request is under this rule."""
        if not self.subjects.match(user):
            return False
        if info.plural:
            return any(rule.match(info) for rule in self.resources)
        return any(rule.match(info) for rule in self.urls)


@dataclass(frozen=True, slots=True)
class Schema:
    """A FlowSchema. `method` says what makes a flow of its own: `ByUser`, `ByNamespace`, or nothing."""

    name: str
    uid: str
    level: str
    precedence: int
    method: str
    rules: tuple[Rule, ...]

    def match(self, user: User, info: RequestInfo) -> bool:
        """Whether the request falls under this schema."""
        return any(rule.match(user, info) for rule in self.rules)

    def distinguisher(self, user: User, info: RequestInfo) -> str:
        """What tells this request's flow from others of the schema."""
        match self.method:
            case "ByUser":
                return user.name
            case "ByNamespace":
                return info.namespace
        return ""


def read(document: Document) -> Schema:
    """A FlowSchema object as a value."""
    metadata, spec = document["metadata"], document.get("spec") or {}
    return Schema(
        name=metadata["name"],
        uid=metadata.get("uid") or "",
        level=(spec.get("priorityLevelConfiguration") or {}).get("name") or "",
        precedence=spec.get("matchingPrecedence") or 0,
        method=(spec.get("distinguisherMethod") or {}).get("type") or "",
        rules=tuple(_rule(rule) for rule in spec.get("rules") or ()),
    )


def ordered(schemas: Iterable[Schema]) -> tuple[Schema, ...]:
    """Schemas in the order in which they are asked."""
    return tuple(sorted(schemas, key=lambda schema: (schema.precedence, schema.name)))


def _rule(rule: Document) -> Rule:
    return Rule(
        subjects=_subjects(rule.get("subjects") or ()),
        resources=tuple(
            ResourceRule(
                verbs=frozenset(each.get("verbs") or ()),
                groups=frozenset(each.get("apiGroups") or ()),
                resources=frozenset(each.get("resources") or ()),
                namespaces=frozenset(each.get("namespaces") or ()),
                cluster_scope=bool(each.get("clusterScope")),
            )
            for each in rule.get("resourceRules") or ()
        ),
        urls=tuple(
            UrlRule(frozenset(each.get("verbs") or ()), tuple(each.get("nonResourceURLs") or ()))
            for each in rule.get("nonResourceRules") or ()
        ),
    )


def _subjects(subjects: Iterable[Document]) -> Subjects:
    users, groups, namespaces = set(), set(), []
    for subject in subjects:
        match subject.get("kind"), subject:
            case "User", {"user": {"name": name}}:
                users.add(name)
            case "Group", {"group": {"name": name}}:
                groups.add(name)
            case "ServiceAccount", {"serviceAccount": {"namespace": namespace, "name": name}}:
                if name == _ALL:
                    namespaces.append(f"{_ACCOUNT}{namespace}:")
                else:
                    users.add(f"{_ACCOUNT}{namespace}:{name}")
    return Subjects(frozenset(users), frozenset(groups), tuple(namespaces))


def _has(words: frozenset[str], word: str) -> bool:
    return word in words or _ALL in words


def _below(path: str, rule: str) -> bool:
    if rule in (_ALL, path):
        return True
    prefix = rule.removesuffix("*")
    return path.startswith(prefix if prefix.endswith("/") else prefix + "/")
