"""Rules for admission policies and their bindings; expressions are only asked to be there.

Source: Kubernetes' admissionregistration validation (ValidateValidatingAdmissionPolicy, …MutatingAdmissionPolicy).
"""

from __future__ import annotations

import re
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

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
_is_identifier = re.compile("[_a-zA-Z][_a-zA-Z0-9]*").fullmatch


def validating_policy(obj: Document) -> list[Cause]:
    """What is wrong with a ValidatingAdmissionPolicy."""
    spec = obj.get("spec") or {}
    causes = _policy(spec)
    validations, annotations = spec.get("validations"), spec.get("auditAnnotations")
    if not validations and not annotations:
        return [*causes, required("spec.validations", _ONE_ITEM), required("spec.auditAnnotations", _ONE_ITEM)]
    causes += each(validations, "spec.validations", _validation)
    if len(annotations or ()) > _MOST_ANNOTATIONS:
        detail = f"must not have more than {_MOST_ANNOTATIONS} auditAnnotations"
        causes.append(invalid_value("spec.auditAnnotations", annotations, detail))
    name = obj["metadata"].get("name") or ""
    causes += each(annotations, "spec.auditAnnotations", lambda one, field: _annotation(one, name, field))
    return causes + distinct([one.get("key") for one in annotations or ()], "spec.auditAnnotations", "key")


def mutating_policy(obj: Document) -> list[Cause]:
    """What is wrong with a MutatingAdmissionPolicy."""
    spec = obj.get("spec") or {}
    mutations = spec.get("mutations")
    causes = _policy(spec)
    causes += needed(mutations, "spec.mutations", "mutations must contain at least one item")
    causes += each(mutations, "spec.mutations", _mutation)
    policy, field = spec.get("reinvocationPolicy"), "spec.reinvocationPolicy"
    return causes + (choice(policy, field, REINVOCATIONS) if policy else [required(field)])


def _policy(spec: Document) -> list[Cause]:
    policy, constraints = spec.get("failurePolicy"), spec.get("matchConstraints")
    causes = needed(policy, "spec.failurePolicy") + optional_choice(policy, "spec.failurePolicy", FAILURE_POLICIES)
    if (kind := spec.get("paramKind")) is not None:
        causes += _param_kind(kind, "spec.paramKind")
    if constraints is None:
        causes.append(required("spec.matchConstraints"))
    else:
        causes += match_resources(constraints, "spec.matchConstraints")
        causes += needed(constraints.get("resourceRules"), "spec.matchConstraints.resourceRules")
    causes += match_conditions(spec.get("matchConditions"), "spec.matchConditions")
    return causes + each(spec.get("variables"), "spec.variables", _variable)


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


def _expression(value: str | None, field: str, detail: str = "expression is not specified") -> list[Cause]:
    return needed((value or "").strip(), field, detail)


def _variable(variable: Document, field: str) -> list[Cause]:
    name = variable.get("name") or ""
    causes = needed(name.strip(), f"{field}.name", "name is not specified")
    if name.strip() and not _is_identifier(name):
        causes.append(invalid_value(f"{field}.name", name, "name is not a valid CEL identifier"))
    return causes + _expression(variable.get("expression"), f"{field}.expression")


def _validation(validation: Document, field: str) -> list[Cause]:
    causes = _expression(validation.get("expression"), f"{field}.expression")
    by_expression, message = validation.get("messageExpression") or "", validation.get("message") or ""
    if by_expression and not by_expression.strip():
        detail = "must be non-empty if specified"
        causes.append(invalid_value(f"{field}.messageExpression", by_expression, detail))
    if message and not message.strip():
        causes.append(invalid_value(f"{field}.message", message, "message must be non-empty if specified"))
    elif re.search(r"[\n\r]", message.strip()):
        causes.append(invalid_value(f"{field}.message", message, "message must not contain line breaks"))
    return causes + optional_choice(validation.get("reason"), f"{field}.reason", _REASONS)


def _annotation(annotation: Document, policy: str, field: str) -> list[Cause]:
    key, value = annotation.get("key") or "", (annotation.get("valueExpression") or "").strip()
    if policy:
        causes = spelled(f"{policy}/{key}", f"{field}.key", names.qualified_name)
    else:
        causes = [invalid_value(f"{field}.key", key, "requires metadata.name be non-empty")]
    if len(value) > _LONGEST_ANNOTATION:
        detail = f"must not exceed {_LONGEST_ANNOTATION} bytes in length"
        return [*causes, required(f"{field}.valueExpression", detail)]
    return causes + _expression(value, f"{field}.valueExpression", "valueExpression is not specified")


def _mutation(mutation: Document, field: str) -> list[Cause]:
    kind = mutation.get("patchType")
    if kind not in _PATCHES:
        return [not_supported(f"{field}.patchType", kind, _PATCHES) if kind else required(f"{field}.patchType")]
    mine, other = ("jsonPatch", "applyConfiguration") if kind == "JSONPatch" else ("applyConfiguration", "jsonPatch")
    causes: list[Cause] = []
    if mutation.get(mine) is None:
        causes.append(required(f"{field}.{mine}", f"must be specified when patchType is {kind}"))
    else:
        causes += _expression(mutation[mine].get("expression"), f"{field}.{mine}.expression")
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
