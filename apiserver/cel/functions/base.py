"""How a function of the expression language is declared (for the type checker) and carried out.

An implementation is found by the function's name and the Python type of its first argument, so one name may mean
different things for different types, as `indexOf` of strings and of lists. `ANY` stands for every other type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Implementation = Callable[..., Any]
Dispatch = Mapping[type, Implementation]


class ANY:
    """The key of an implementation that takes whatever first argument comes, or none."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One overload. Types are written as `list(T)`, `map(string, dyn)`, `optional_type(T)`, `net.IP`; T is any."""

    name: str
    parameters: tuple[str, ...]
    result: str
    member: bool

    @property
    def overload(self) -> str:
        """A name of its own among all overloads."""
        kinds = "_".join(self.parameters) or "nothing"
        name = f"{self.name}_{kinds}_{'member' if self.member else 'global'}"
        return "".join(letter if letter.isalnum() else "_" for letter in name)


def function(name: str, *parameters: str, result: str) -> Declaration:
    """`name(parameters)`."""
    return Declaration(name, parameters, result, False)


def method(name: str, *parameters: str, result: str) -> Declaration:
    """`first.name(others)`: the first parameter is what it is called on."""
    return Declaration(name, parameters, result, True)


def for_lists(implementation: Implementation) -> dict[type, Implementation]:
    """The entries of a dispatch for a function of lists of either kind."""
    from ..values import KeyedList

    return {list: implementation, KeyedList: implementation}
