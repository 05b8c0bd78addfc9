"""Which requests a webhook or an admission policy is about: rules over resources, selectors over labels.

Everything here is pure. Rules and selectors are compiled once for each change of a configuration; what they say of a
request depends on little of it (`Target`), so that callers may remember it.

A rule that names another version of what is asked for matches too if its policy is Equivalent: the object is then
presented in that version (`Match`).

Source: Kubernetes' apiserver, webhook/predicates and policy/matching; kubeapiserver, admission/exclusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from k8slite.catalogue import Catalogue, Resource
from k8slite.errors import not_found
from k8slite.selectors import EVERYTHING, LabelSelector, from_object

from ..strategies.base import Document
from .base import Admission, Operation

Gvk = tuple[str, str, str]
"""(group, version, kind)."""
Labels = Mapping[str, str]
LabelsOf = Callable[[str], Labels | None]
"""The labels of a namespace; None if there is none of that name."""

_ADMISSION = "admissionregistration.k8s.io"
CONFIGURATION = frozenset(
    (_ADMISSION, plural)
    for plural in (
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    )
)
"""What configures admission is not subject to it: a wrong rule must stay mendable."""
REVIEWS = frozenset(
    [
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "localsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    ]
)
"""What is only asked, by webhooks themselves among others."""
EXEMPT = CONFIGURATION | REVIEWS
"""(group, plural) of what neither webhooks nor policies see."""


@dataclass(frozen=True, slots=True)
class Target:
    """What of a request rules look at. `namespaced` is false for a Namespace itself."""

    group: str
    version: str
    plural: str
    subresource: str
    operation: Operation
    namespaced: bool
    name: str = ""


def target_of(admission: Admission) -> Target:
    """What a request is about, in the version that its client asked for."""
    asked = admission.requested or admission.resource
    return Target(
        asked.group,
        asked.version,
        asked.plural,
        admission.subresource,
        admission.operation,
        asked.namespaced,
        admission.name,
    )


def kind_of(resource: Resource, subresource: str) -> Gvk:
    """The kind that is written there: a Scale below a Deployment."""
    row = resource.subresource(subresource) if subresource else None
    if row is None:
        return (resource.group, resource.version, resource.kind)
    return (row.group, row.version, row.kind)


def namespace_of(admission: Admission) -> str:
    """The namespace of a request; a Namespace is said to be in itself."""
    if (admission.resource.group, admission.resource.plural) == ("", "namespaces"):
        return admission.name
    return admission.namespace


@dataclass(frozen=True, slots=True)
class Rule:
    """A RuleWithOperations, or NamedRuleWithOperations, ready to be asked. `names` is empty for all names."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    scope: str
    names: frozenset[str]


def compile_rules(rules: Iterable[Mapping[str, Any]] | None) -> tuple[Rule, ...]:
    """The rules of a configuration, as they are written there."""
    return tuple(
        Rule(
            operations=frozenset(rule.get("operations") or ()),
            groups=frozenset(rule.get("apiGroups") or ()),
            versions=frozenset(rule.get("apiVersions") or ()),
            resources=tuple(_split(text) for text in rule.get("resources") or ()),
            scope=rule.get("scope") or "*",
            names=frozenset(rule.get("resourceNames") or ()),
        )
        for rule in rules or ()
    )


def _split(text: str) -> tuple[str, str]:
    plural, _, subresource = text.partition("/")
    return plural, subresource


def matches_rule(rule: Rule, target: Target) -> bool:
    """Whether a rule is about exactly this: its version, its operation, its subresource, its name."""
    return (
        _has(rule.operations, target.operation)
        and _has(rule.groups, target.group)
        and _has(rule.versions, target.version)
        and any(
            plural in ("*", target.plural) and subresource in ("*", target.subresource)
            for plural, subresource in rule.resources
        )
        and (rule.scope == "*" or (rule.scope == "Namespaced") == target.namespaced)
        and (not rule.names or target.name in rule.names)
    )


def _has(words: frozenset[str], word: str) -> bool:
    return word in words or "*" in words


@dataclass(frozen=True, slots=True)
class Match:
    """How the object is to be presented: as this kind, said to be of this resource."""

    resource: Resource
    kind: Gvk


def find_match(
    rules: Sequence[Rule], target: Target, *, match_policy: str | None, catalogue: Catalogue, kind: Gvk | None = None
) -> Match | None:
    """The first rule's match, as asked for before any other version. None if no rule is about the target.

    `kind` is the object's own where it is not the resource's (`Admission.kind`). An absent policy is Exact: defaults
    write Equivalent.
    """
    asked = catalogue.by_path(target.group, target.version, target.plural)
    if asked is None:
        return None
    if any(matches_rule(rule, target) for rule in rules):
        return Match(asked, kind or kind_of(asked, target.subresource))
    if match_policy != "Equivalent":
        return None
    others = equivalents(catalogue, asked, target.subresource)
    for rule in rules:
        for other in others:
            also = replace(target, group=other.group, version=other.version, plural=other.plural)
            if matches_rule(rule, also):
                return Match(other, kind_of(other, target.subresource))
    return None


def equivalents(catalogue: Catalogue, resource: Resource, subresource: str) -> list[Resource]:
    """The other served versions of what is stored as one, as far as they have the subresource."""
    return [
        row
        for row in catalogue
        if row.storage == resource.storage
        and row.key != resource.key
        and (not subresource or row.subresource(subresource) is not None)
    ]


@dataclass(frozen=True, slots=True)
class Selectors:
    """A namespaceSelector and an objectSelector."""

    namespace: LabelSelector = EVERYTHING
    object: LabelSelector = EVERYTHING

    def match(self, admission: Admission, labels_of: LabelsOf) -> bool:
        """Whether both select the request; `labels_of` is asked if need be. Raises ApiError 404 for its namespace.

        What lies in no namespace is in all of them. Of a Namespace that is written its own new labels count. Objects
        match by what they are or by what they were; what has no metadata, as the options of a connection, matches none.
        """
        return (not self.object or self._has_object(admission)) and (
            not self.namespace or self._in_namespace(admission, labels_of)
        )

    def _in_namespace(self, admission: Admission, labels_of: LabelsOf) -> bool:
        namespace = namespace_of(admission)
        itself = admission.resource.plural == "namespaces"
        if not namespace and not itself:
            return True
        if itself and not admission.subresource and admission.object is not None:
            return self.namespace.matches(_labels(admission.object))
        labels = labels_of(namespace)
        if labels is None:
            raise not_found("namespaces", namespace)
        return self.namespace.matches(labels)

    def _has_object(self, admission: Admission) -> bool:
        present = (each for each in (admission.object, admission.old) if each is not None and "metadata" in each)
        return any(self.object.matches(_labels(each)) for each in present)


def compile_selectors(holder: Mapping[str, Any]) -> Selectors:
    """The selectors of a webhook or of a policy's matchConstraints; absent ones select everything."""
    namespace = from_object(holder.get("namespaceSelector"))
    objects = from_object(holder.get("objectSelector"))
    return Selectors(namespace or EVERYTHING, objects or EVERYTHING)


def _labels(document: Document) -> Labels:
    return (document.get("metadata") or {}).get("labels") or {}
