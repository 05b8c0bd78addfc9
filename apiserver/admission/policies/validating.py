"""ValidatingAdmissionPolicy: refuses, warns of or records what a policy's expressions find wrong.

All policies are asked, then the first denial refuses the request.

Source: Kubernetes documentation, "Validating Admission Policy"; apiserver, policy/validating/dispatcher.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from k8slite.errors import ApiError, forbidden

from ...authz.base import Authorizer
from ...lookup import Objects
from ...registry import Registry
from ...strategies.base import Document
from ..base import Admission, Operation, Plugin
from ..cel.asking import Asking
from ..cel.evaluation import BUDGET, CONDITIONS_BUDGET, Evaluation
from ..cel.inputs import Inputs
from .configured import Binding, Configured, Policy
from .judging import Denial, Judgement, Validations, compile_validations, judge
from .seeing import Sight
from .selecting import Problem, select

FAILURES = "validation.policy.admission.k8s.io/validation_failure"
_MOST_FAILURES = 50
_LONGEST_VALUE = 10 * 1024
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}


@dataclass(slots=True)
class _Outcome:
    """What all policies together said."""

    denied: list[tuple[str, str]] = field(default_factory=list)
    """Messages with their reasons."""
    failures: list[Document] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, list[str]] = field(default_factory=dict)


class ValidatingAdmissionPolicy(Plugin):
    """Asks the policies that are about a request."""

    operations = frozenset[Operation]({"CREATE", "UPDATE", "DELETE", "CONNECT"})

    def __init__(self, *, objects: Objects, authorizer: Authorizer, registry: Callable[[], Registry]) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._configured: Configured[Validations] = Configured(
            objects,
            policies="validatingadmissionpolicies",
            bindings="validatingadmissionpolicybindings",
            compile_=compile_validations,
        )

    async def validate(self, admission: Admission) -> None:
        """Raise the ApiError of the first denial."""
        registry = self._registry()
        concerned = self._configured.concerned(admission, registry.catalogue)
        if not concerned:
            return
        asking, outcome = Asking(self._authorizer, admission.context.user), _Outcome()
        sight = Sight(registry, admission, asking)
        for one in await select(registry, admission, concerned):
            if isinstance(one, Problem):
                _misconfigured(outcome, one.policy, one.binding, one.detail)
                continue
            try:
                given = await sight.of(one.match)
            except ApiError as error:
                _misconfigured(outcome, one.policy, one.binding, f"failed to configure binding: {error.message}")
                continue
            judgement = await asking.answered(_judging(one.policy.compiled, given, one.param))
            _note(outcome, one.policy, one.binding, judgement)
        _report(admission, outcome)


def _judging(policy: Validations, given: Inputs, param: Document | None) -> Callable[[], Judgement]:
    def evaluation(conditions: bool) -> Evaluation:
        return Evaluation(
            given,
            budget=CONDITIONS_BUDGET if conditions else BUDGET,
            variables=policy.variables,
            params=param,
            namespace=not conditions,
        )

    return lambda: judge(policy, evaluation)


def _misconfigured(outcome: _Outcome, policy: Policy[Validations], binding: Binding | None, detail: str) -> None:
    if policy.fail:
        outcome.denied.append((_refusal(policy.name, binding, detail), ""))


def _refusal(policy: str, binding: Binding | None, message: str) -> str:
    by = f" with binding '{binding.name}'" if binding is not None else ""
    return f"ValidatingAdmissionPolicy '{policy}'{by} denied request: {message}"


def _note(outcome: _Outcome, policy: Policy[Any], binding: Binding, judgement: Judgement) -> None:
    """Put a judgement to the use that the binding's actions make of it."""
    for denial in judgement.denials:
        for action in binding.actions:
            _act(outcome, policy.name, binding, denial, action)
    for error in judgement.errors:
        outcome.denied.append((_refusal(policy.name, binding, error), ""))
    for key, value in judgement.annotations:
        values = outcome.annotations.setdefault(f"{policy.name}/{key}", [])
        shortened = value.encode()[:_LONGEST_VALUE].decode(errors="ignore")
        if shortened not in values:
            values.append(shortened)


def _act(outcome: _Outcome, policy: str, binding: Binding, denial: Denial, action: str) -> None:
    match action:
        case "Deny":
            outcome.denied.append((_refusal(policy, binding, denial.message), denial.reason))
        case "Audit":
            outcome.failures.append(
                {
                    "message": denial.message,
                    "policy": policy,
                    "binding": binding.name,
                    "expressionIndex": denial.index,
                    "validationActions": list(binding.actions),
                }
            )
        case "Warn":
            outcome.warnings.append(
                f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding.name}': "
                f"{denial.message}"
            )


def _report(admission: Admission, outcome: _Outcome) -> None:
    """Warn, record, and refuse. Raises ApiError."""
    context = admission.context
    context.warnings.extend(text for text in outcome.warnings if text not in context.warnings)
    for key, values in outcome.annotations.items():
        context.annotations[key] = ", ".join(values)
    if outcome.failures:
        context.annotations[FAILURES] = orjson.dumps(outcome.failures[:_MOST_FAILURES]).decode()
    if outcome.denied:
        message, reason = outcome.denied[0]
        raise _denial(admission, message, reason or "Invalid")


def _denial(admission: Admission, message: str, reason: str) -> ApiError:
    """The refusal of a request by a policy."""
    error = forbidden(admission.resource.plural, object_name(admission), message, group=admission.resource.group)
    details = {**(error.details or {}), "causes": [{"message": message}]}
    return ApiError(_CODES.get(reason, 422), reason, error.message, details=details)


def object_name(admission: Admission) -> str:
    """What a refusal calls the object."""
    metadata = (admission.object or {}).get("metadata") or {}
    return admission.name or metadata.get("name") or metadata.get("generateName") or "Unknown"
