"""RBAC: roles and bindings from the watch cache, in an index that is made anew when any of them changes.

Source: Kubernetes documentation, "Using RBAC Authorization".
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Protocol

from ..authn.base import User
from ..lookup import Entry, Objects
from .base import Attributes, Decision, Held
from .index import GROUP, Holder, Index, compile_index
from .roles import Remembered, Role, binding_of, gathered, role_of
from .rules import Rule

_PLURALS = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")


class Source(Protocol):
    """The four kinds of RBAC, and a value that changes when any of them does."""

    def version(self) -> Hashable:
        """Equal as long as nothing has changed."""
        ...

    def entries(self, plural: str) -> Iterable[Entry]:
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

    def entries(self, plural: str) -> Iterable[Entry]:
        """All objects of one of RBAC's resources."""
        return self._rows[plural].select()


class RBAC:
    """The authorizer."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._version: Hashable = None
        self._index = Index({})
        self._roles = {plural: Remembered(role_of) for plural in _PLURALS[:2]}
        self._bindings = {plural: Remembered(binding_of) for plural in _PLURALS[2:]}
        self._known: dict[tuple[str, str, str], Role] = {}

    def _current(self) -> Index:
        version = self._source.version()
        if version != self._version:
            roles = {plural: self._roles[plural].of(self._source.entries(plural)) for plural in self._roles}
            bindings = {plural: self._bindings[plural].of(self._source.entries(plural)) for plural in self._bindings}
            self._index = compile_index(
                cluster_roles=roles["clusterroles"],
                roles=roles["roles"],
                cluster_role_bindings=bindings["clusterrolebindings"],
                role_bindings=bindings["rolebindings"],
            )
            self._known = {("ClusterRole", "", role.name): role for role in roles["clusterroles"]}
            self._known |= {("Role", role.namespace, role.name): role for role in roles["roles"]}
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

    def held(self, user: User, namespace: str) -> Held:
        """Every rule that a user holds in a namespace, and the problems met."""
        holder = self._current().holder(user, namespace)
        return Held([rule for grant, _ in holder.grants for rule in grant.rules], holder.problems)

    def role_rules(self, kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """The rules of a role, None if it does not exist."""
        self._current()
        role = self._known.get((kind, "" if kind == "ClusterRole" else namespace, name))
        if role is None or role.selectors is None:
            return role.rules if role is not None else None
        return gathered(role, (other for (of, _, _), other in self._known.items() if of == "ClusterRole"))


def _path(holder: Holder, attributes: Attributes) -> tuple[Decision, str]:
    for grant, who in holder.grants:
        if any(rule.allows_path(verb=attributes.verb, path=attributes.path) for rule in grant.rules):
            return Decision.ALLOW, f"RBAC: allowed by {grant.origin} to {who}"
    return Decision.NO_OPINION, _problems(holder)


def _problems(holder: Holder) -> str:
    if not (problems := holder.problems):
        return ""
    return f"RBAC: {problems[0]}" if len(problems) == 1 else f"RBAC: [{', '.join(problems)}]"
