"""Everything that an expression can call, by name and type of the first argument."""

from __future__ import annotations

from . import authorization, formats, lists, network, optionals, patches, quantities, standard, strings, times
from .base import ANY, Declaration, Dispatch, Implementation

_MODULES = (standard, times, strings, lists, optionals, quantities, network, formats, authorization, patches)
#: What the type checker must be told; the language's own functions and cel-go's strings and optionals it knows.
DECLARATIONS: tuple[Declaration, ...] = tuple(
    declaration
    for module in (standard, strings, lists, quantities, network, formats, authorization)
    for declaration in module.DECLARATIONS
)


def _merged() -> dict[str, Dispatch]:
    merged: dict[str, dict[type, Implementation]] = {}
    for module in _MODULES:
        for name, dispatch in module.FUNCTIONS.items():
            merged.setdefault(name, {}).update(dispatch)
    return dict(merged)


FUNCTIONS: dict[str, Dispatch] = _merged()

__all__ = ["ANY", "DECLARATIONS", "FUNCTIONS", "Declaration", "Dispatch", "Implementation"]
