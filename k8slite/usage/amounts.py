"""Amounts of resources that are added, compared and written back in the family in which they came (Mi, m, e3).

Source: Kubernetes' apimachinery resource.Quantity (Add, Sub, Cmp) and quota/v1/resources.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..quantity import Form, QuantityError, form_of, parse, written

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Amount:
    """A value and the family of suffixes in which it is written."""

    value: Decimal
    form: Form = "decimal"

    def __add__(self, other: Amount) -> Amount:
        """The sum, written as the first of the two that is not zero."""
        return Amount(self.value + other.value, self.form if self.value else other.form)

    def __sub__(self, other: Amount) -> Amount:
        """The difference, written as the first of the two that is not zero."""
        return Amount(self.value - other.value, self.form if self.value else other.form)

    def __str__(self) -> str:
        """The quantity as the API writes it."""
        return written(self.value, self.form)


ZERO = Amount(_NOTHING)
ONE = Amount(Decimal(1))
Amounts = dict[str, Amount]
"""By the resource's name."""


def amount(text: Any) -> Amount | None:
    """A quantity; None where it is none."""
    try:
        return Amount(parse(text), form_of(text))
    except QuantityError:
        return None


def amounts(quantities: Mapping[str, Any] | None) -> Amounts:
    """A list of quantities as it stands in an object. What is no quantity is left out: validation refuses it."""
    found = {name: amount(text) for name, text in (quantities or {}).items()}
    return {name: value for name, value in found.items() if value is not None}


def add(total: Amounts, more: Amounts) -> None:
    """Add to a total."""
    for name, value in more.items():
        present = total.get(name)
        total[name] = value if present is None else present + value


def raise_to(total: Amounts, least: Amounts) -> None:
    """Raise what is lower; what is missing comes in."""
    for name, value in least.items():
        present = total.get(name)
        if present is None or value.value > present.value:
            total[name] = value


def wire(values: Amounts) -> dict[str, str]:
    """Amounts as they stand in an object."""
    return {name: str(value) for name, value in sorted(values.items())}
