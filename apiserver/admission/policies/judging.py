"""What a ValidatingAdmissionPolicy says of one object with one parameter: pure, to be evaluated as often as need be.

Source: Kubernetes' apiserver, pkg/admission/plugin/policy/validating/validator.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..cel.conditions import Conditions, compile_conditions
from ..cel.declared import Scope
from ..cel.evaluation import Evaluation, OutOfBudget
from ..cel.expressions import Compiler, Expression, compose

_LONGEST_MESSAGE = 5 * 1024


@dataclass(frozen=True, slots=True)
class Validation:
    """One of a policy's validations, compiled."""

    expression: Expression
    message_expression: Expression | None
    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class Validations:
    """All expressions of a policy, compiled."""

    fail: bool
    conditions: Conditions
    variables: Mapping[str, Expression]
    validations: tuple[Validation, ...]
    annotations: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Denial:
    """A validation that failed: which (by its place), why, and in which machine word."""

    index: int
    message: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The denials; values of audit annotations by key; and the errors in those, which refuse whatever the actions."""

    denials: tuple[Denial, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    errors: tuple[str, ...] = ()


CONTENT = Judgement()


def compile_validations(spec: Mapping[str, Any]) -> Validations:
    """Compile a policy. What does not compile is an error of every request."""
    scope, variables = compose(Scope(params=spec.get("paramKind") is not None), spec.get("variables") or ())
    compiler = Compiler(scope)
    messages = Compiler(Scope(params=scope.params, authorizer=False, variables=scope.variables))
    fail = spec.get("failurePolicy") != "Ignore"

    def validation(written: Mapping[str, Any]) -> Validation:
        by_expression = written.get("messageExpression") or ""
        return Validation(
            compiler.compile(written.get("expression") or "", "bool"),
            messages.compile(by_expression, "string") if by_expression else None,
            (written.get("message") or "").strip(),
            written.get("reason") or "Invalid",
        )

    return Validations(
        fail,
        compile_conditions(spec.get("matchConditions"), fail=fail, scope=scope),
        variables,
        tuple(validation(written) for written in spec.get("validations") or ()),
        tuple(
            (written.get("key") or "", compiler.compile(written.get("valueExpression") or "", "string", "null_type"))
            for written in spec.get("auditAnnotations") or ()
        ),
    )


def judge(policy: Validations, evaluation: Callable[[bool], Evaluation]) -> Judgement:
    """Evaluate a policy; `evaluation` makes a fresh one, for match conditions if it is given true."""
    if policy.conditions:
        verdict = policy.conditions.match(evaluation(True))
        if verdict.error:
            return _failed(policy, verdict.error)
        if not verdict.matches:
            return CONTENT
    current = evaluation(False)
    denials: list[Denial] = []
    try:
        results = [current.run(one.expression) for one in policy.validations]
    except OutOfBudget as spent:
        return _failed(policy, str(spent))
    for index, (validation, result) in enumerate(zip(policy.validations, results, strict=True)):
        if result.error:
            if policy.fail:
                denials.append(Denial(index, result.error))
        elif result.value is not True:
            try:
                denials.append(Denial(index, _message(validation, current), validation.reason))
            except OutOfBudget as spent:
                if policy.fail:
                    denials.append(Denial(index, f"failed messageExpression: {spent}"))
    return _annotated(policy, tuple(denials), evaluation(False)) if policy.annotations else Judgement(tuple(denials))


def _failed(policy: Validations, error: str) -> Judgement:
    return Judgement((Denial(0, error),)) if policy.fail else CONTENT


def _message(validation: Validation, evaluation: Evaluation) -> str:
    """What is said of a failure: the messageExpression's words if it gives any that can be used."""
    if validation.message_expression is not None:
        value = evaluation.run(validation.message_expression).value
        text = value.strip() if isinstance(value, str) else ""
        if text and "\n" not in text and len(text.encode()) <= _LONGEST_MESSAGE:
            return text
    return validation.message or f"failed expression: {validation.expression.source.strip()}"


def _annotated(policy: Validations, denials: tuple[Denial, ...], evaluation: Evaluation) -> Judgement:
    annotations: list[tuple[str, str]] = []
    errors: list[str] = []
    for key, expression in policy.annotations:
        try:
            result = evaluation.run(expression)
        except OutOfBudget as spent:
            return _failed(policy, str(spent))
        if result.error:
            errors.append(result.error)
        elif isinstance(result.value, str):
            if text := result.value.strip():
                annotations.append((key, text))
        elif result.value is not None:
            errors.append(
                f"valueExpression '{expression.source}' resulted in unsupported return type: "
                f"{type(result.value).__name__}. Return type must be either string or null."
            )
    return Judgement(denials, tuple(annotations), tuple(errors) if policy.fail else ())
