"""A quota's scopes: which objects it counts.

Source: Kubernetes documentation, "Resource Quotas: scopes".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Requirement:
    """One scope, with an operator on the names that it looks at (In, NotIn, Exists, DoesNotExist)."""

    scope: str
    operator: str = "Exists"
    values: frozenset[str] = frozenset()

    def accepts(self, name: str) -> bool:
        """Whether an object with this name (empty: with none) is in the scope."""
        match self.operator:
            case "Exists":
                return bool(name)
            case "DoesNotExist":
                return not name
            case "In":
                return name in self.values
            case "NotIn":
                return name not in self.values
            case _:
                return False

    def accepts_any(self, names: Collection[str]) -> bool:
        """Whether an object with any of these names is in the scope."""
        return any(self.accepts(name) for name in names or ("",))


def requirements(spec: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """The scopes of a quota's spec, all of which an object must be in."""
    plain = [Requirement(scope) for scope in spec.get("scopes") or ()]
    expressions = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return (*plain, *(requirement(item) for item in expressions))


def requirement(item: Mapping[str, Any]) -> Requirement:
    """One expression of a scope selector."""
    values = frozenset(item.get("values") or ())
    return Requirement(item.get("scopeName") or "", item.get("operator") or "Exists", values)
