"""The policies with their bindings, read again when one of them changes, and which are about a request.

Rules are asked once for each sort of request (`Target`); selectors each time, as they look at labels. What a policy's
expressions become is worked out when it first matches.

Source: Kubernetes' apiserver, pkg/admission/plugin/policy/generic and policy/matching.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from k8slite.catalogue import Catalogue
from k8slite.remembering import Recent

from ...lookup import Entry, Objects
from ...strategies.base import Document
from ..base import Admission
from ..matching import (
    EXEMPT,
    Gvk,
    Match,
    Rule,
    Selectors,
    Target,
    compile_rules,
    compile_selectors,
    find_match,
    kind_of,
    target_of,
)

GROUP = "admissionregistration.k8s.io"
_REMEMBERED = 4096
Compiled = TypeVar("Compiled")
_Sort = tuple[Gvk, str, str, str, Gvk | None]
"""What rules look at: resource, subresource, operation, name (if any rule does), the object's own kind."""


@dataclass(frozen=True)
class Matcher:
    """A `matchConstraints` or `matchResources`. Without rules it is about everything that is not excluded."""

    include: tuple[Rule, ...]
    exclude: tuple[Rule, ...]
    policy: str | None
    selectors: Selectors

    @classmethod
    def of(cls, match: Mapping[str, Any]) -> Matcher:
        """From how it is written."""
        return cls(
            compile_rules(match.get("resourceRules")),
            compile_rules(match.get("excludeResourceRules")),
            match.get("matchPolicy"),
            compile_selectors(match),
        )

    def match(self, target: Target, kind: Gvk | None, catalogue: Catalogue) -> Match | None:
        """How the object is to be presented; None if the rules are not about the target."""
        if self.exclude and find_match(self.exclude, target, match_policy=self.policy, catalogue=catalogue, kind=kind):
            return None
        if self.include:
            return find_match(self.include, target, match_policy=self.policy, catalogue=catalogue, kind=kind)
        asked = catalogue.by_path(target.group, target.version, target.plural)
        return Match(asked, kind or kind_of(asked, target.subresource)) if asked is not None else None

    @property
    def names(self) -> bool:
        """Whether a rule is about objects of certain names only."""
        return any(rule.names for rule in (*self.include, *self.exclude))


@dataclass(frozen=True)
class Binding:
    """A binding; `matcher` is None if it adds no conditions."""

    name: str
    matcher: Matcher | None
    param_ref: Mapping[str, Any] | None
    actions: tuple[str, ...]

    @classmethod
    def of(cls, document: Document) -> Binding:
        """From the object."""
        spec = document.get("spec") or {}
        resources = spec.get("matchResources")
        return cls(
            document["metadata"]["name"],
            Matcher.of(resources) if resources is not None else None,
            spec.get("paramRef"),
            tuple(spec.get("validationActions") or ()),
        )


class Policy(Generic[Compiled]):
    """A policy; `fail` says that its errors refuse the request."""

    def __init__(self, document: Document, compile_: Callable[[Document], Compiled]) -> None:
        self.spec = document.get("spec") or {}
        self.name: str = document["metadata"]["name"]
        self.fail = self.spec.get("failurePolicy") != "Ignore"
        self.param_kind: Mapping[str, str] | None = self.spec.get("paramKind")
        self.matcher = Matcher.of(self.spec.get("matchConstraints") or {})
        self._compile = compile_

    @cached_property
    def compiled(self) -> Compiled:
        """What its expressions became."""
        return self._compile(self.spec)


@dataclass(frozen=True)
class Concerned(Generic[Compiled]):
    """A policy whose rules are about a request, how it wants to see the object, and its bindings about the same."""

    policy: Policy[Compiled]
    match: Match
    bindings: tuple[Binding, ...]


class Configured(Generic[Compiled]):
    """All policies of a sort: `policies` and `bindings` are the plurals of the two kinds."""

    def __init__(
        self, objects: Objects, *, policies: str, bindings: str, compile_: Callable[[Document], Compiled]
    ) -> None:
        self._policy_rows, self._binding_rows = (objects.resource(GROUP, plural) for plural in (policies, bindings))
        self._compile = compile_
        self._seen = (-1, -1, -1)
        self._bound: list[tuple[Policy[Compiled], tuple[Binding, ...]]] = []
        self._names = False
        self._policies: dict[str, tuple[int, Policy[Compiled]]] = {}
        self._bindings: dict[str, tuple[int, tuple[str, Binding]]] = {}
        self._concerned: Recent[_Sort, tuple[Concerned[Compiled], ...]] = Recent(_REMEMBERED)

    def concerned(self, admission: Admission, catalogue: Catalogue) -> tuple[Concerned[Compiled], ...]:
        """The policies whose rules are about a request, in the order of their names."""
        seen = (self._policy_rows.changed, self._binding_rows.changed, catalogue.generation)
        if seen != self._seen:
            self._read()
            self._seen = seen
        if not self._bound or (admission.resource.group, admission.resource.plural) in EXEMPT:
            return ()
        asked = admission.requested or admission.resource
        name = admission.name if self._names else ""
        key = (asked.key, admission.subresource, admission.operation, name, admission.kind)
        found = self._concerned.get(key)
        if found is None:
            found = self._about(target_of(admission), admission.kind, catalogue)
            self._concerned.keep(key, found)
        return found

    def _about(self, target: Target, kind: Gvk | None, catalogue: Catalogue) -> tuple[Concerned[Compiled], ...]:
        found = []
        for policy, bindings in self._bound:
            match = policy.matcher.match(target, kind, catalogue)
            if match is None:
                continue
            about = [one for one in bindings if one.matcher is None or one.matcher.match(target, kind, catalogue)]
            if about:
                found.append(Concerned(policy, match, tuple(about)))
        return tuple(found)

    def _read(self) -> None:
        """Look at all policies and bindings; those that did not change stay as they are, compiled."""
        policies = {
            entry.key: _kept(entry, self._policies, lambda document: Policy(document, self._compile))
            for entry in self._policy_rows.select()
        }
        bindings = {entry.key: _kept(entry, self._bindings, _named) for entry in self._binding_rows.select()}
        by_policy: dict[str, list[Binding]] = {}
        for _, (name, binding) in sorted(bindings.values(), key=lambda item: item[1][1].name):
            by_policy.setdefault(name, []).append(binding)
        ordered = sorted((policy for _, policy in policies.values()), key=lambda policy: policy.name)
        self._policies, self._bindings = policies, bindings
        self._bound = [(one, tuple(by_policy[one.name])) for one in ordered if one.name in by_policy]
        matchers = [one.matcher for one, _ in self._bound]
        matchers += [binding.matcher for _, listed in self._bound for binding in listed if binding.matcher is not None]
        self._names = any(matcher.names for matcher in matchers)
        self._concerned.clear()


Read = TypeVar("Read")


def _kept(entry: Entry, before: Mapping[str, tuple[int, Read]], read: Callable[[Document], Read]) -> tuple[int, Read]:
    known = before.get(entry.key)
    return known if known is not None and known[0] == entry.revision else (entry.revision, read(entry.document))


def _named(document: Document) -> tuple[str, Binding]:
    return (document.get("spec") or {}).get("policyName") or "", Binding.of(document)
