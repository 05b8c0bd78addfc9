"""Match conditions: further expressions that decide whether a webhook or policy is about a request.

One that is false decides, whatever the others say. Otherwise errors count as the failure policy has it.

Source: apiserver, pkg/admission/plugin/webhook/matchconditions/matcher.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .declared import Scope
from .evaluation import Evaluation, OutOfBudget
from .expressions import Compiler, Expression


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the conditions are met; `error` says why that could not be found out, `condition` which is not."""

    matches: bool
    error: str = ""
    condition: str = ""


MET = Verdict(True)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one webhook or policy, compiled. `fail`: errors refuse the request, else they are no match."""

    listed: tuple[tuple[str, Expression], ...] = ()
    fail: bool = True

    def __bool__(self) -> bool:
        return bool(self.listed)

    def match(self, evaluation: Evaluation) -> Verdict:
        """Evaluate them, within `CONDITIONS_BUDGET`."""
        errors: list[str] = []
        try:
            for name, expression in self.listed:
                result = evaluation.run(expression)
                if result.error:
                    errors.append(result.error)
                elif result.value is False:
                    return Verdict(False, condition=name)
        except OutOfBudget as spent:
            errors = [str(spent)]
        if not errors:
            return MET
        return Verdict(False, joined(errors)) if self.fail else Verdict(False)


def joined(errors: Sequence[str]) -> str:
    """Several errors as one text, each once."""
    each = list(dict.fromkeys(errors))
    return each[0] if len(each) == 1 else f"[{', '.join(each)}]"


def compile_conditions(
    conditions: Iterable[Mapping[str, Any]] | None, *, fail: bool, scope: Scope | None = None
) -> Conditions:
    """The `matchConditions` of a configuration. One that does not compile counts as an error of each request."""
    compiler = Compiler(scope or Scope())
    listed = [(one.get("name") or "", one.get("expression") or "") for one in conditions or ()]
    return Conditions(tuple((name, compiler.compile(text, "bool")) for name, text in listed), fail)
