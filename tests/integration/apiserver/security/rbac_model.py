"""A reference of RBAC for the model check: written from Kubernetes' documentation alone, without looking for speed.

Everything is a plain dictionary or tuple. Whether rules cover others is not compared word by word, as the server does:
they are tried out on requests. For `*` stands one word that nothing names, so what covers it covers everything.

Source: Kubernetes documentation, "Using RBAC Authorization".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
Request = tuple[str, str, str, str]
"""Verb, group, resource (with its subresource) and name."""

GROUP = "rbac.authorization.k8s.io"
ROLES, BINDINGS = ("roles", "clusterroles"), ("rolebindings", "clusterrolebindings")
_ANY = "any-other-word"


@dataclass
class Model:
    """The objects of RBAC: by plural, then by namespace (empty for none) and name."""

    objects: dict[str, dict[tuple[str, str], Document]] = field(
        default_factory=lambda: {plural: {} for plural in (*ROLES, *BINDINGS)}
    )

    # What a user may do

    def allowed(self, user: str, groups: Sequence[str], request: Request, namespace: str) -> bool:
        return any(_allows(rule, request) for rule in self.rules_of(user, groups, namespace))

    def rules_of(self, user: str, groups: Sequence[str], namespace: str) -> list[Document]:
        held: list[Document] = []
        for plural in BINDINGS:
            for (place, _), binding in self.objects[plural].items():
                if place in ("", namespace) and any(_is(one, user, groups, place) for one in binding["subjects"]):
                    held += self.rules_of_role(binding["roleRef"], place) or []
        return held

    def rules_of_role(self, reference: Document, namespace: str) -> list[Document] | None:
        plural = "clusterroles" if reference["kind"] == "ClusterRole" else "roles"
        place = "" if plural == "clusterroles" else namespace
        role = self.objects[plural].get((place, reference["name"]))
        if role is None:
            return None
        return self._gathered(reference["name"], set()) if role.get("aggregationRule") else role["rules"]

    def _gathered(self, name: str, seen: set[str]) -> list[Document]:
        role = self.objects["clusterroles"]["", name]
        if name in seen:
            return []
        seen.add(name)
        if not role.get("aggregationRule"):
            return list(role["rules"])
        found: list[Document] = []
        for selector in role["aggregationRule"]["clusterRoleSelectors"]:
            for (_, other), candidate in self.objects["clusterroles"].items():
                if all(candidate["labels"].get(key) == value for key, value in selector["matchLabels"].items()):
                    found += self._gathered(other, seen)
        return found

    # What a user may write

    def may_write(
        self, user: str, groups: Sequence[str], place: tuple[str, str, str], new: Document, old: Document | None
    ) -> bool:
        """Whether a write that is allowed by its verb grants nothing that its writer does not hold."""
        plural, namespace, name = place
        if old == new:
            return True
        held = self.rules_of(user, groups, namespace)
        if plural in ROLES:
            if self.allowed(user, groups, ("escalate", GROUP, plural, name if old is not None else ""), namespace):
                return True
            gathers = bool(new.get("aggregationRule") or (old or {}).get("aggregationRule"))
            return covers(held, new["rules"]) and (not gathers or covers(held, _EVERYTHING))
        role = new["roleRef"]
        kind = "clusterroles" if role["kind"] == "ClusterRole" else "roles"
        if self.allowed(user, groups, ("bind", GROUP, kind, role["name"]), namespace):
            return True
        wanted = self.rules_of_role(role, namespace)
        return wanted is not None and covers(held, wanted)


_EVERYTHING: list[Document] = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]


def covers(held: Sequence[Document], wanted: Sequence[Document]) -> bool:
    """Whether everything that some rules allow is allowed by others."""
    for rule in wanted:
        if rule.get("nonResourceURLs"):
            urls = any("*" in one.get("nonResourceURLs", ()) and "*" in one["verbs"] for one in held)
            if not urls:
                return False
        elif not all(any(_allows(one, request) for one in held) for request in _requests(rule)):
            return False
    return True


def _requests(rule: Document) -> Iterator[Request]:
    def words(values: Sequence[str]) -> list[str]:
        return [value.replace("*", _ANY) for value in values]

    # Without names a rule is about each name; one that nobody names stands for them.
    names = rule.get("resourceNames") or [_ANY]
    yield from itertools.product(words(rule["verbs"]), words(rule["apiGroups"]), words(rule["resources"]), names)


def _allows(rule: Document, request: Request) -> bool:
    verb, group, resource, name = request
    if rule.get("nonResourceURLs"):
        return False
    below = resource.partition("/")[2]
    resources = {"*", resource} | ({f"*/{below}"} if below else set())
    names = rule.get("resourceNames")
    return (
        bool({"*", verb} & set(rule["verbs"]))
        and bool({"*", group} & set(rule["apiGroups"]))
        and bool(resources & set(rule["resources"]))
        and (not names or name in names)
    )


def _is(subject: Document, user: str, groups: Sequence[str], namespace: str) -> bool:
    match subject["kind"]:
        case "User":
            return bool(subject["name"] == user)
        case "Group":
            return subject["name"] in groups
    place = subject.get("namespace") or namespace
    return user == f"system:serviceaccount:{place}:{subject['name']}"
