"""Running expressions on a budget.

The limits are Kubernetes': a million units for one expression, ten million for all of a policy's with one parameter,
two and a half million for match conditions. Variables are evaluated when first named, and once. Because some units take
Python longer than others, the whole also ends after a time; see docs/adr/0010.

Source: Kubernetes' apiserver, pkg/apis/cel/config.go; pkg/admission/plugin/cel/{activation,composition}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import thread_time
from typing import Any

from ...cel.values import EvaluationError
from .expressions import Expression
from .inputs import Inputs

PER_CALL = 1_000_000
BUDGET = 10_000_000
CONDITIONS_BUDGET = 2_500_000
SECONDS = 1.2
"""Of processor time, because nothing else is served meanwhile."""
_OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class OutOfBudget(Exception):
    """Nothing more is evaluated."""

    def __init__(self) -> None:
        super().__init__(_OUT_OF_BUDGET)


@dataclass(frozen=True, slots=True)
class Result:
    """What an expression gave, or why it gave nothing."""

    value: Any = None
    error: str = ""


class Evaluation:
    """Runs the expressions of one policy, or the conditions of one webhook, on one request."""

    def __init__(
        self,
        inputs: Inputs,
        *,
        budget: int = BUDGET,
        variables: Mapping[str, Expression] | None = None,
        params: Any = None,
        namespace: bool = True,
    ) -> None:
        """With `namespace` false expressions find no namespaceObject, as match conditions do."""
        self._inputs = inputs
        self._own: dict[str, Any] = {"params": params, "variables": _Composed(self, variables or {})}
        if not namespace:
            self._own["namespaceObject"] = None
        self._remaining = budget
        self._ends = thread_time() + SECONDS

    def run(self, expression: Expression) -> Result:
        """Evaluate; an error of the expression is part of the result. Raises OutOfBudget."""
        compiled = expression.compiled
        if compiled is None:
            return Result(error=f"compilation error: {expression.error}")
        try:
            return Result(self.value(expression))
        except EvaluationError as error:
            return Result(error=f"expression '{expression.source}' resulted in error: {error}")

    def value(self, expression: Expression) -> Any:
        """The same for one that compiles, its errors raised as they are. Raises EvaluationError, OutOfBudget."""
        assert expression.compiled is not None
        if thread_time() > self._ends:
            raise OutOfBudget
        given = self._inputs.needed(expression.compiled) | self._own
        outcome = expression.compiled.program.evaluate(given, limit=PER_CALL)
        self._remaining -= outcome.cost
        if self._remaining < 0:
            raise OutOfBudget
        if outcome.error is not None:
            raise outcome.error
        return outcome.value


class _Composed(dict[str, Any]):
    """The variable `variables`: its fields are evaluated when they are first asked for."""

    def __init__(self, evaluation: Evaluation, expressions: Mapping[str, Expression]) -> None:
        super().__init__()
        self._evaluation = evaluation
        self._expressions = expressions
        self._failed: dict[str, EvaluationError] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._expressions

    def __missing__(self, name: str) -> Any:
        if name in self._failed:
            raise self._failed[name]
        expression = self._expressions[name]
        if expression.compiled is None:
            raise EvaluationError(f'composited variable "{name}" fails to compile: {expression.error}')
        try:
            value = self[name] = self._evaluation.value(expression)
        except EvaluationError as error:
            failure = EvaluationError(f'composited variable "{name}" fails to evaluate: {error}')
            self._failed[name] = failure
            raise failure from None
        return value
