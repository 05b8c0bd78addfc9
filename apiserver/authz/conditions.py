"""Match conditions of webhooks: expressions over the review that would be sent; if one is false, it is not.

Source: apiserver, authorization/cel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..cel.environment import Compiled, CompileError, Environment
from ..cel.types import STRING, DeclType, list_of, map_of

__all__ = ["CompileError", "ConditionError", "compiled", "met"]
_BUDGET = 1_000_000
_REQUIREMENT = DeclType("object", fields={"key": STRING, "operator": STRING, "values": list_of(STRING)})
_SELECTOR = DeclType("object", fields={"rawSelector": STRING, "requirements": list_of(_REQUIREMENT)})
_RESOURCE = DeclType(
    "object",
    fields={
        **dict.fromkeys(("namespace", "verb", "group", "version", "resource", "subresource", "name"), STRING),
        "fieldSelector": _SELECTOR,
        "labelSelector": _SELECTOR,
    },
)
_PATH = DeclType("object", fields={"path": STRING, "verb": STRING})
_REQUEST = DeclType(
    "object",
    fields={
        "resourceAttributes": _RESOURCE,
        "nonResourceAttributes": _PATH,
        "user": STRING,
        "groups": list_of(STRING),
        "extra": map_of(list_of(STRING)),
        "uid": STRING,
    },
)


class ConditionError(Exception):
    """A condition could not be evaluated."""


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment({"request": _REQUEST})


@lru_cache(maxsize=256)
def compiled(text: str) -> Compiled:
    """A condition, checked. Raises CompileError."""
    try:
        made = _environment().compile(text)
    except CompileError as error:
        raise CompileError(f"compilation failed: {error}") from None
    if made.result != "bool":
        raise CompileError(f"must evaluate to bool but got {made.result}")
    return made


def met(conditions: Sequence[str], spec: dict[str, Any]) -> bool:
    """Whether all conditions hold for the spec of a review. One that is false decides, else errors count.

    Raises ConditionError.
    """
    request = {"groups": [], "uid": "", "extra": {}, "user": "", **spec}
    errors = []
    for text in conditions:
        outcome = compiled(text).program.evaluate({"request": request}, limit=_BUDGET)
        if outcome.error is not None:
            errors.append(f"cel evaluation error: expression '{text}' resulted in error: {outcome.error}")
        elif outcome.value is not True:
            return False
    if errors:
        raise ConditionError("; ".join(errors))
    return True
