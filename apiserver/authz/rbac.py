"""RBAC: roles and bindings from the watch cache, compiled into an index that answers in about a microsecond.

The index is made of three layers, each built when first asked for and thrown away when a role or binding changes:
grants by subject; all grants of one user in one namespace; and for that user, namespace, verb and resource an answer:
every name, or these names. A request is then two dictionary look-ups.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..authn.base import User
from ..lookup import Objects
from ..strategies.base import Document
from . import rules
from .base import Attributes, Decision
from .rules import Rule

GROUP = "rbac.authorization.k8s.io"
_PLURALS = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
_USERS = 4096
_ANSWERS = 4096
_NO_NAMES: Mapping[str, str] = {}


class Source(Protocol):
    """The four kinds of RBAC, and a value that changes when any of them does."""

    def version(self) -> Hashable:
        """Equal as long as nothing has changed."""
        ...

    def documents(self, plural: str) -> Iterable[Document]:
        """All objects of one of RBAC's resources."""
        ...


class CacheSource:
    """The source over the watch cache."""

    def __init__(self, objects: Objects) -> None:
        self._rows = {plural: objects.resource(GROUP, plural) for plural in _PLURALS}
        self._watched = tuple(self._rows.values())

    def version(self) -> Hashable:
        """The revisions of the last changes."""
        a, b, c, d = self._watched
        return (a.changed, b.changed, c.changed, d.changed)

    def documents(self, plural: str) -> Iterable[Document]:
        """All objects of one of RBAC's resources."""
        return [entry.document for entry in self._rows[plural].select()]


@dataclass(frozen=True, slots=True)
class Grant:
    """The rules that one binding gives its subjects, in one namespace or (empty) everywhere."""

    namespace: str
    rules: tuple[Rule, ...]
    origin: str
    """`ClusterRoleBinding "x" of ClusterRole "y"`, for people."""
    problem: str = ""
    """Why there are no rules: the role does not exist."""


@dataclass(frozen=True, slots=True)
class _Answer:
    everything: str = ""
    """The origin of a rule for every name, empty if there is none."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Origins by name."""


@dataclass(slots=True)
class _Holder:
    """A user in a namespace."""

    grants: list[tuple[Grant, str]]
    answers: dict[tuple[str, str, str, str], _Answer] = field(default_factory=dict)


class Index:
    """Who holds which grants. Immutable but for what it remembers."""

    def __init__(self, by_subject: Mapping[tuple[str, str], Sequence[Grant]]) -> None:
        self._by_subject = by_subject
        self._holders: dict[tuple[str, tuple[str, ...], str], _Holder] = {}

    def holder(self, user: User, namespace: str) -> _Holder:
        """The grants that count for a user in a namespace (empty: at the cluster scope)."""
        key = (user.name, user.groups, namespace)
        found = self._holders.get(key)
        if found is None:
            if len(self._holders) >= _USERS:
                self._holders.clear()
            found = self._holders[key] = _Holder(list(self._grants(user, namespace)))
        return found

    def _grants(self, user: User, namespace: str) -> Iterable[tuple[Grant, str]]:
        subjects = [("User", user.name), *(("Group", group) for group in user.groups)]
        for subject in subjects:
            who = f'{subject[0]} "{subject[1]}"'
            if subject[0] == "User" and user.name.startswith("system:serviceaccount:"):
                _, _, account_namespace, account = user.name.split(":", 3) if user.name.count(":") == 3 else [""] * 4
                who = f'ServiceAccount "{account}/{account_namespace}"'
            for grant in self._by_subject.get(subject, ()):
                if not grant.namespace or grant.namespace == namespace:
                    yield grant, who

    def answer(self, holder: _Holder, attributes: Attributes) -> _Answer:
        """What the holder may do with a verb on a resource."""
        key = (attributes.verb, attributes.group, attributes.resource, attributes.subresource)
        found = holder.answers.get(key)
        if found is None:
            if len(holder.answers) >= _ANSWERS:
                holder.answers.clear()
            found = holder.answers[key] = _answer(holder, attributes)
        return found


def _answer(holder: _Holder, attributes: Attributes) -> _Answer:
    names: dict[str, str] = {}
    for grant, who in holder.grants:
        for rule in grant.rules:
            if rule.allows_kind(
                verb=attributes.verb,
                group=attributes.group,
                resource=attributes.resource,
                subresource=attributes.subresource,
            ):
                origin = f"{grant.origin} to {who}"
                if not rule.names:
                    return _Answer(everything=origin)
                for name in rule.names:
                    names.setdefault(name, origin)
    return _Answer(names=names) if names else _Answer(names=_NO_NAMES)


def compile_index(
    *,
    cluster_roles: Iterable[Document],
    roles: Iterable[Document],
    cluster_role_bindings: Iterable[Document],
    role_bindings: Iterable[Document],
) -> Index:
    """Resolve every binding's role and group the grants by subject."""
    by_name = {role["metadata"]["name"]: role for role in cluster_roles}
    local = {(role["metadata"]["namespace"], role["metadata"]["name"]): role for role in roles}
    compiled: dict[tuple[str, str], tuple[Rule, ...]] = {}

    def grant(binding: Document, kind: str) -> Grant:
        namespace = binding["metadata"].get("namespace", "")
        reference = binding["roleRef"]
        name = reference["name"]
        key = ("", name) if reference["kind"] == "ClusterRole" else (namespace, name)
        shown = f"{name}/{namespace}" if key[0] else name
        bound = f"{binding['metadata']['name']}/{namespace}" if namespace else binding["metadata"]["name"]
        origin = f'{kind} "{bound}" of {reference["kind"]} "{shown}"'
        if key not in compiled:
            if reference["kind"] == "ClusterRole" and name in by_name:
                compiled[key] = rules.parse(rules.aggregate(name, by_name))
            elif reference["kind"] == "Role" and key in local:
                compiled[key] = rules.parse(local[key].get("rules"))
            else:
                problem = f'{reference["kind"].lower()}.{GROUP} "{name}" not found'
                return Grant(namespace, (), origin, problem)
        return Grant(namespace, compiled[key], origin)

    by_subject: dict[tuple[str, str], list[Grant]] = {}
    for kind, bindings in (("ClusterRoleBinding", cluster_role_bindings), ("RoleBinding", role_bindings)):
        for binding in bindings:
            granted = grant(binding, kind)
            for subject in binding.get("subjects") or ():
                if key := _subject(subject):
                    by_subject.setdefault(key, []).append(granted)
    return Index(by_subject)


def _subject(subject: Mapping[str, Any]) -> tuple[str, str] | None:
    match subject.get("kind"):
        case "User" | "Group":
            return str(subject["kind"]), str(subject.get("name", ""))
        case "ServiceAccount" if subject.get("namespace"):
            return "User", f"system:serviceaccount:{subject['namespace']}:{subject.get('name', '')}"
        case _:
            return None


class RBAC:
    """The authorizer."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._version: Hashable = None
        self._index = Index({})

    def _current(self) -> Index:
        version = self._source.version()
        if version != self._version:
            self._index = compile_index(
                cluster_roles=self._source.documents("clusterroles"),
                roles=self._source.documents("roles"),
                cluster_role_bindings=self._source.documents("clusterrolebindings"),
                role_bindings=self._source.documents("rolebindings"),
            )
            self._version = version
        return self._index

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """ALLOW with the binding that allows it, or NO_OPINION with the bindings' problems."""
        index = self._current()
        if not attributes.is_resource:
            return _path(index.holder(attributes.user, ""), attributes)
        holder = index.holder(attributes.user, attributes.namespace)
        answer = index.answer(holder, attributes)
        origin = answer.everything or (answer.names.get(attributes.name) if attributes.name else "")
        if origin:
            return Decision.ALLOW, f"RBAC: allowed by {origin}"
        return Decision.NO_OPINION, _problems(holder)

    def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """Every rule that a user holds in a namespace, and the problems met."""
        holder = self._current().holder(user, namespace)
        problems = list(dict.fromkeys(grant.problem for grant, _ in holder.grants if grant.problem))
        return [rule for grant, _ in holder.grants for rule in grant.rules], problems

    def role_rules(self, kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """The rules of a role, None if it does not exist."""
        if kind == "ClusterRole":
            by_name = {role["metadata"]["name"]: role for role in self._source.documents("clusterroles")}
            return rules.parse(rules.aggregate(name, by_name)) if name in by_name else None
        for role in self._source.documents("roles"):
            if role["metadata"]["namespace"] == namespace and role["metadata"]["name"] == name:
                return rules.parse(role.get("rules"))
        return None


def _path(holder: _Holder, attributes: Attributes) -> tuple[Decision, str]:
    for grant, who in holder.grants:
        if any(rule.allows_path(verb=attributes.verb, path=attributes.path) for rule in grant.rules):
            return Decision.ALLOW, f"RBAC: allowed by {grant.origin} to {who}"
    return Decision.NO_OPINION, _problems(holder)


def _problems(holder: _Holder) -> str:
    problems = list(dict.fromkeys(grant.problem for grant, _ in holder.grants if grant.problem))
    if not problems:
        return ""
    return f"RBAC: {problems[0]}" if len(problems) == 1 else f"RBAC: [{', '.join(problems)}]"
