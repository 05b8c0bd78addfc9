"""Rules for admission policies and their bindings. Every expression must compile, and give what it is asked for.

Source: Kubernetes' admissionregistration validation (ValidateValidatingAdmissionPolicy, …MutatingAdmissionPolicy).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from ..admission.cel.declared import Scope
from ..admission.cel.expressions import ANY, Compiler, declared_type
from ..cel.types import DYN
from . import names
from .selectors import label_selector
from .values import choice, distinct, each, named, needed, optional_choice, spelled
from .webhooks import FAILURE_POLICIES, MATCH_POLICIES, REINVOCATIONS, match_conditions, rule

Document = dict[str, Any]

_ACTIONS = ("Audit", "Deny", "Warn")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_NOT_FOUND = ("Allow", "Deny")
_PATCHES = ("ApplyConfiguration", "JSONPatch")
_MOST_ANNOTATIONS = 20
_LONGEST_ANNOTATION = 5 * 1024
_ONE_ITEM = "validations or auditAnnotations must contain at least one item"
_EXCLUSIVE = "name and selector are mutually exclusive"
_TWICE = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
    "headers serves no purpose)"
)
_is_identifier = re.compile("[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII).fullmatch
_RESERVED = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"}
) | {"let", "loop", "package", "namespace", "return", "var", "void", "while"}


class _Expressions:
    """Compiles the expressions of one policy. What comes later in it sees the variables that came before."""

    def __init__(self, spec: Document) -> None:
        params = spec.get("paramKind") is not None
        self._scope = Scope(params=params, variables={} if spec.get("variables") else None)

    def variable(self, name: str, text: str, field: str) -> list[Cause]:
        """A variable, in sight of all that comes after it."""
        expression = Compiler(self._scope).compile(text, ANY)
        kind = declared_type(expression.compiled.type) if expression.compiled is not None else DYN
        if _is_identifier(name):
            self._scope = self._scope.with_variable(name, kind)
        return [invalid_value(field, text, expression.error)] if expression.error else []

    def check(
        self, text: str, field: str, *returns: str, authorizer: bool = True, objects: bool = False, shown: str = ""
    ) -> list[Cause]:
        """What is wrong with an expression that is to give one of the types `returns`; errors show it as `shown`."""
        compiler = Compiler(replace(self._scope, authorizer=authorizer, objects=objects))
        error = compiler.compile(text, *returns).error
        return [invalid_value(field, shown or text, error)] if error else []


def validating_policy(obj: Document) -> list[Cause]:
    """What is wrong with a ValidatingAdmissionPolicy."""
    spec = obj.get("spec") or {}
    expressions = _Expressions(spec)
    causes = _policy(spec, expressions)
    validations, annotations = spec.get("validations"), spec.get("auditAnnotations")
    if not validations and not annotations:
        return [*causes, required("spec.validations", _ONE_ITEM), required("spec.auditAnnotations", _ONE_ITEM)]
    causes += each(validations, "spec.validations", lambda one, field: _validation(one, expressions, field))
    if len(annotations or ()) > _MOST_ANNOTATIONS:
        detail = f"must not have more than {_MOST_ANNOTATIONS} auditAnnotations"
        causes.append(invalid_value("spec.auditAnnotations", annotations, detail))
    name = obj["metadata"].get("name") or ""
    causes += each(annotations, "spec.auditAnnotations", lambda one, field: _annotation(one, name, expressions, field))
    return causes + distinct([one.get("key") for one in annotations or ()], "spec.auditAnnotations", "key")


def mutating_policy(obj: Document) -> list[Cause]:
    """What is wrong with a MutatingAdmissionPolicy."""
    spec = obj.get("spec") or {}
    mutations, expressions = spec.get("mutations"), _Expressions(spec)
    causes = _policy(spec, expressions)
    causes += needed(mutations, "spec.mutations", "mutations must contain at least one item")
    causes += each(mutations, "spec.mutations", lambda one, field: _mutation(one, expressions, field))
    policy, field = spec.get("reinvocationPolicy"), "spec.reinvocationPolicy"
    return causes + (choice(policy, field, REINVOCATIONS) if policy else [required(field)])


def policy_status(obj: Document, old: Document) -> list[Cause]:
    """What is wrong with the status of a ValidatingAdmissionPolicy."""
    checking = (obj.get("status") or {}).get("typeChecking") or {}

    def check(warning: Document, field: str) -> list[Cause]:
        causes = needed(warning.get("warning"), f"{field}.warning")
        return causes + needed((warning.get("fieldRef") or "").strip(), f"{field}.fieldRef")

    return each(checking.get("expressionWarnings"), "status.typeChecking.expressionWarnings", check)


def _policy(spec: Document, expressions: _Expressions) -> list[Cause]:
    policy, constraints = spec.get("failurePolicy"), spec.get("matchConstraints")
    causes = needed(policy, "spec.failurePolicy") + optional_choice(policy, "spec.failurePolicy", FAILURE_POLICIES)
    if (kind := spec.get("paramKind")) is not None:
        causes += _param_kind(kind, "spec.paramKind")
    if constraints is None:
        causes.append(required("spec.matchConstraints"))
    else:
        causes += match_resources(constraints, "spec.matchConstraints")
        causes += needed(constraints.get("resourceRules"), "spec.matchConstraints.resourceRules")
    params = spec.get("paramKind") is not None
    causes += match_conditions(spec.get("matchConditions"), "spec.matchConditions", params=params)
    return causes + each(spec.get("variables"), "spec.variables", lambda one, field: _variable(one, expressions, field))


def _param_kind(kind: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    api_version, word = kind.get("apiVersion") or "", kind.get("kind") or ""
    group, _, version = api_version.rpartition("/")
    if not api_version:
        causes.append(required(f"{field}.apiVersion"))
    elif api_version.count("/") > 1:
        detail = f"unexpected GroupVersion string: {api_version}"
        causes.append(invalid_value(f"{field}.apiVersion", api_version, detail))
    else:
        causes += spelled(group or None, f"{field}.apiVersion", names.dns_subdomain)
        if version:
            causes += spelled(version, f"{field}.apiVersion", names.dns_1035_label)
        else:
            causes.append(invalid_value(f"{field}.apiVersion", api_version, "version must be specified"))
    if not word:
        causes.append(required(f"{field}.kind"))
    elif problem := names.dns_1035_label(word.lower()):
        detail = f"may have mixed case, but should otherwise match: {problem}"
        causes.append(invalid_value(f"{field}.kind", word, detail))
    return causes


def match_resources(match: Document, field: str) -> list[Cause]:
    """Which requests a policy or binding is about."""
    policy = match.get("matchPolicy")
    causes = needed(policy, f"{field}.matchPolicy") + optional_choice(policy, f"{field}.matchPolicy", MATCH_POLICIES)
    for name in ("namespaceSelector", "objectSelector"):
        selector = match.get(name)
        causes += [required(f"{field}.{name}")] if selector is None else label_selector(selector, f"{field}.{name}")
    for name in ("resourceRules", "excludeResourceRules"):
        causes += each(match.get(name), f"{field}.{name}", _named_rule)
    return causes


def _named_rule(obj: Document, field: str) -> list[Cause]:
    listed = obj.get("resourceNames") or []
    causes = each(listed, f"{field}.resourceNames", lambda name, here: spelled(name, here, names.path_segment))
    return causes + distinct(listed, f"{field}.resourceNames") + rule(obj, field)


_UNSPECIFIED = "expression is not specified"


def _variable(variable: Document, expressions: _Expressions, field: str) -> list[Cause]:
    name, text = variable.get("name") or "", variable.get("expression") or ""
    causes = needed(name.strip(), f"{field}.name", "name is not specified")
    if name.strip() and (name in _RESERVED or not _is_identifier(name)):
        causes.append(invalid_value(f"{field}.name", name, "name is not a valid CEL identifier"))
    missing = needed(text.strip(), f"{field}.expression", _UNSPECIFIED)
    return causes + (missing or expressions.variable(name, text, f"{field}.expression"))


def _validation(validation: Document, expressions: _Expressions, field: str) -> list[Cause]:
    text, here = validation.get("expression") or "", f"{field}.expression"
    causes = needed(text.strip(), here, _UNSPECIFIED) or expressions.check(text, here, "bool")
    by_expression, message = validation.get("messageExpression") or "", validation.get("message") or ""
    if by_expression and not by_expression.strip():
        detail = "must be non-empty if specified"
        causes.append(invalid_value(f"{field}.messageExpression", by_expression, detail))
    elif by_expression:
        causes += expressions.check(by_expression, f"{field}.messageExpression", "string", authorizer=False)
    if message and not message.strip():
        causes.append(invalid_value(f"{field}.message", message, "message must be non-empty if specified"))
    elif re.search(r"[\n\r]", message.strip()):
        causes.append(invalid_value(f"{field}.message", message, "message must not contain line breaks"))
    return causes + optional_choice(validation.get("reason"), f"{field}.reason", _REASONS)


def _annotation(annotation: Document, policy: str, expressions: _Expressions, field: str) -> list[Cause]:
    key, here = annotation.get("key") or "", f"{field}.valueExpression"
    written = annotation.get("valueExpression") or ""
    value = written.strip()
    if policy:
        causes = spelled(f"{policy}/{key}", f"{field}.key", names.qualified_name)
    else:
        causes = [invalid_value(f"{field}.key", key, "requires metadata.name be non-empty")]
    if len(value.encode()) > _LONGEST_ANNOTATION:
        return [*causes, required(here, f"must not exceed {_LONGEST_ANNOTATION} bytes in length")]
    missing = needed(value, here, "valueExpression is not specified")
    return causes + (missing or expressions.check(value, here, "string", "null_type", shown=written))


def _mutation(mutation: Document, expressions: _Expressions, field: str) -> list[Cause]:
    kind = mutation.get("patchType")
    if kind not in _PATCHES:
        return [not_supported(f"{field}.patchType", kind, _PATCHES) if kind else required(f"{field}.patchType")]
    mine, other = ("jsonPatch", "applyConfiguration") if kind == "JSONPatch" else ("applyConfiguration", "jsonPatch")
    causes: list[Cause] = []
    if mutation.get(mine) is None:
        causes.append(required(f"{field}.{mine}", f"must be specified when patchType is {kind}"))
    else:
        text, here = mutation[mine].get("expression") or "", f"{field}.{mine}.expression"
        wanted = "list(JSONPatch)" if kind == "JSONPatch" else "Object"
        missing = needed(text.strip(), here, _UNSPECIFIED)
        causes += missing or expressions.check(text, here, wanted, objects=True)
    if mutation.get(other) is not None:
        causes.append(forbidden_field(f"{field}.{other}", f"must not be specified when patchType is {kind}"))
    return causes


def validating_binding(obj: Document) -> list[Cause]:
    """What is wrong with a ValidatingAdmissionPolicyBinding."""
    actions, field = (obj.get("spec") or {}).get("validationActions") or [], "spec.validationActions"
    causes = mutating_binding(obj) + each(actions, field, lambda word, here: choice(word, here, _ACTIONS))
    causes += distinct(actions, field)
    if {"Deny", "Warn"} <= {*actions}:
        causes.append(invalid_value(field, actions, _TWICE))
    return causes + needed(actions, field, "at least one validation action is required")


def mutating_binding(obj: Document) -> list[Cause]:
    """What is wrong with a MutatingAdmissionPolicyBinding."""
    spec = obj.get("spec") or {}
    causes = named(spec.get("policyName"), "spec.policyName", names.dns_subdomain)
    if (reference := spec.get("paramRef")) is not None:
        causes += _param_ref(reference, "spec.paramRef")
    if (match := spec.get("matchResources")) is not None:
        causes += match_resources(match, "spec.matchResources")
    return causes


def _param_ref(reference: Document, field: str) -> list[Cause]:
    name, selector = reference.get("name"), reference.get("selector")
    action, here = reference.get("parameterNotFoundAction"), f"{field}.parameterNotFoundAction"
    causes = spelled(name or None, f"{field}.name", names.path_segment)
    if name and selector is not None:
        causes.append(forbidden_field(f"{field}.name", _EXCLUSIVE))
    causes += label_selector(selector, f"{field}.selector")
    if name and selector is not None:
        causes.append(forbidden_field(f"{field}.selector", _EXCLUSIVE))
    if not name and selector is None:
        causes.append(required(field, "one of name or selector must be specified"))
    return causes + (choice(action, here, _NOT_FOUND) if action else [required(here)])
