"""What the expressions of a ValidatingAdmissionPolicy get wrong about the kinds that the policy is about.

Objects are `dyn` when a policy is evaluated, so a misspelt field shows only with a request. Here each expression is
checked against the schemas of the kinds that the rules name, ten at most: none where a rule has a wildcard. What is
found is told, and hinders nothing.

Source: Kubernetes' apiserver, pkg/admission/plugin/policy/validating/typechecking.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from k8slite.catalogue import Catalogue

from ...cel.types import DYN, DeclType
from ...strategies.base import Document
from ..cel.declared import Scope
from ..cel.expressions import ANY, Compiler, declared_type
from ..matching import Gvk

TypeOf = Callable[[Gvk], DeclType | None]
"""The type of a kind's objects; None if no schema is known."""

_MOST_KINDS = 10
_FAILED = "compilation failed: "


def kinds_to_check(spec: Mapping[str, Any], catalogue: Catalogue) -> list[Gvk]:
    """The kinds that the rules name one by one, in order."""
    found: set[Gvk] = set()
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        named = list(islice(_named(rule, catalogue), _MOST_KINDS))
        found.update(named)
        if len(named) == _MOST_KINDS:
            break
    return sorted(found)


def _named(rule: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Gvk]:
    groups, versions = (sorted(rule.get(name) or ()) for name in ("apiGroups", "apiVersions"))
    if any("*" in word for word in (*groups, *versions)):
        return
    plurals = sorted(name for name in rule.get("resources") or () if "*" not in name and "/" not in name)
    for group in groups:
        for version in versions:
            for plural in plurals:
                row = catalogue.by_path(group, version, plural)
                if row is not None:
                    yield (group, version, row.kind)


def expressions_of(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The expressions that are checked, each with where it stands."""
    for index, validation in enumerate(spec.get("validations") or ()):
        for name in ("expression", "messageExpression"):
            if text := validation.get(name):
                yield f"spec.validations[{index}].{name}", text


def compiler_for(spec: Mapping[str, Any], kind: DeclType, type_of: TypeOf) -> Compiler:
    """What compiles a policy's expressions, its variables in sight, for objects of one kind."""
    param_kind = spec.get("paramKind")
    params = DYN
    if param_kind is not None:
        group, _, version = (param_kind.get("apiVersion") or "").rpartition("/")
        params = type_of((group, version, param_kind.get("kind") or "")) or DYN
    scope = Scope(params=param_kind is not None, variables={}, kind=kind, param_kind=params)
    for variable in spec.get("variables") or ():
        compiled = Compiler(scope).compile_anew(variable.get("expression") or "", ANY).compiled
        scope = scope.with_variable(variable["name"], DYN if compiled is None else declared_type(compiled.type))
    return Compiler(scope)


def issues(spec: Mapping[str, Any], kind: DeclType, type_of: TypeOf) -> dict[str, str]:
    """What is wrong with the expressions, by where they stand, if objects are of that kind."""
    compiler = compiler_for(spec, kind, type_of)
    found = {place: compiler.compile_anew(text, ANY).error for place, text in expressions_of(spec)}
    return {place: error.removeprefix(_FAILED) for place, error in found.items() if error}


def warnings(spec: Mapping[str, Any], found: Sequence[tuple[Gvk, Mapping[str, str]]]) -> list[Document]:
    """The `expressionWarnings` of a policy, from the issues with each kind."""
    listed = []
    for place, _ in expressions_of(spec):
        said = [f"{_shown(kind)}: {issues_[place]}\n" for kind, issues_ in found if place in issues_]
        if said:
            listed.append({"fieldRef": place, "warning": "\n".join(said)})
    return listed


def _shown(kind: Gvk) -> str:
    return f"{kind[0]}/{kind[1]}, Kind={kind[2]}"
