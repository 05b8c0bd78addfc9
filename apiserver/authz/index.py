"""The index of grants, which answers in about a microsecond.

It is made of three layers, each built when first asked for and thrown away when a role or binding changes: grants by
subject; all grants of one user in one namespace; and for that user, namespace, verb and resource an answer: every
name, or these names. A request is then two dictionary look-ups.

Users, namespaces and resources are whatever clients say, and everyone may ask: both what is remembered and how long it
may be is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..authn.base import User
from .base import Attributes
from .roles import Binding, Role, Subject, gathered
from .rules import Rule

GROUP = "rbac.authorization.k8s.io"
_USERS = 4096
_ANSWERS = 32768
"""Answers that are remembered, of all users together."""
_LONGEST = 1024
"""Characters of a user with its groups and the namespace, or of a verb with its resource, that are remembered."""
_NO_NAMES: Mapping[str, str] = {}


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
class Answer:
    """What a user may do with a verb on a resource in a namespace."""

    everything: str = ""
    """The origin of a rule for every name, empty if there is none."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Origins by name."""


@dataclass(slots=True)
class Holder:
    """A user in a namespace: each grant with the subject that it came by, for people."""

    grants: list[tuple[Grant, str]]
    answers: dict[tuple[str, str, str, str], Answer] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Why grants are without rules, each reason once."""
        return list(dict.fromkeys(grant.problem for grant, _ in self.grants if grant.problem))


class Index:
    """Who holds which grants. Immutable but for what it remembers."""

    def __init__(self, by_subject: Mapping[Subject, Sequence[Grant]]) -> None:
        self._by_subject = by_subject
        self._holders: dict[tuple[str, tuple[str, ...], str], Holder] = {}
        self._answers = 0

    def holder(self, user: User, namespace: str) -> Holder:
        """The grants that count for a user in a namespace (empty: at the cluster scope)."""
        key = (user.name, user.groups, namespace)
        found = self._holders.get(key)
        if found is None:
            found = Holder(list(self._grants(user, namespace)))
            if len(user.name) + len(namespace) + sum(map(len, user.groups)) <= _LONGEST:
                if len(self._holders) >= _USERS:
                    self._forget()
                self._holders[key] = found
        return found

    def _grants(self, user: User, namespace: str) -> Iterable[tuple[Grant, str]]:
        shown = f'User "{user.name}"'
        if user.name.startswith("system:serviceaccount:") and user.name.count(":") == 3:
            _, _, account_namespace, account = user.name.split(":")
            shown = f'ServiceAccount "{account}/{account_namespace}"'
        subjects: list[tuple[Subject, str]] = [(("User", user.name), shown)]
        subjects += [(("Group", group), f'Group "{group}"') for group in user.groups]
        for subject, who in subjects:
            for grant in self._by_subject.get(subject, ()):
                if not grant.namespace or grant.namespace == namespace:
                    yield grant, who

    def answer(self, holder: Holder, attributes: Attributes) -> Answer:
        """What the holder may do with a verb on a resource."""
        key = (attributes.verb, attributes.group, attributes.resource, attributes.subresource)
        found = holder.answers.get(key)
        if found is None:
            found = _answer(holder, attributes)
            if sum(map(len, key)) <= _LONGEST:
                if self._answers >= _ANSWERS:
                    self._forget()
                holder.answers[key] = found
                self._answers += 1
        return found

    def _forget(self) -> None:
        for holder in self._holders.values():
            holder.answers.clear()
        self._holders.clear()
        self._answers = 0


def _answer(holder: Holder, attributes: Attributes) -> Answer:
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
                    return Answer(everything=origin)
                for name in rule.names:
                    names.setdefault(name, origin)
    return Answer(names=names) if names else Answer(names=_NO_NAMES)


def compile_index(
    *,
    cluster_roles: Sequence[Role],
    roles: Iterable[Role],
    cluster_role_bindings: Iterable[Binding],
    role_bindings: Iterable[Binding],
) -> Index:
    """Resolve every binding's role and group the grants by subject."""
    local = {(role.namespace, role.name): role for role in roles}
    by_name = {role.name: role for role in cluster_roles}
    aggregated: dict[str, tuple[Rule, ...]] = {}

    def resolve(binding: Binding) -> tuple[Rule, ...] | None:
        if binding.kind != "ClusterRole":
            role = local.get((binding.namespace, binding.role))
            return role.rules if role is not None else None
        role = by_name.get(binding.role)
        if role is None or role.selectors is None:
            return role.rules if role is not None else None
        if role.name not in aggregated:
            aggregated[role.name] = gathered(role, cluster_roles)
        return aggregated[role.name]

    by_subject: dict[Subject, list[Grant]] = {}
    for kind, bindings in (("ClusterRoleBinding", cluster_role_bindings), ("RoleBinding", role_bindings)):
        for binding in bindings:
            granted = _grant(kind, binding, resolve(binding))
            for subject in binding.subjects:
                by_subject.setdefault(subject, []).append(granted)
    return Index(by_subject)


def _grant(kind: str, binding: Binding, rules: tuple[Rule, ...] | None) -> Grant:
    namespace, role = binding.namespace, binding.role
    shown = role if binding.kind == "ClusterRole" else f"{role}/{namespace}"
    bound = f"{binding.name}/{namespace}" if namespace else binding.name
    problem = "" if rules is not None else f'{binding.kind.lower()}.{GROUP} "{role}" not found'
    return Grant(namespace, rules or (), f'{kind} "{bound}" of {binding.kind} "{shown}"', problem)
