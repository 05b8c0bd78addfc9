"""Quantities (`1.5Gi`) and semantic versions (`1.2.3-rc.1`).

Source: Kubernetes documentation, "Kubernetes quantity library" and "Kubernetes semver library"; semver.org 2.0.0.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import total_ordering
from typing import Any

from k8slite import quantity as quantities

from ..values import EvaluationError, no_overload
from .base import Declaration, Dispatch, function, method

_INT = range(-(1 << 63), (1 << 63) - 1)
QUANTITY = "kubernetes.Quantity"
SEMVER = "kubernetes.Semver"


class Quantity:
    """An exact amount; two are equal when their amounts are, however written."""

    __slots__ = ("amount",)
    cel_type = QUANTITY

    def __init__(self, amount: Decimal) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.amount == other.amount

    def __hash__(self) -> int:
        return hash(self.amount)

    def whole(self) -> bool:
        """Whether it is an integer of 64 bits; the largest stands for all that are larger."""
        return self.amount == self.amount.to_integral_value() and int(self.amount) in _INT


def _parsed(text: str) -> Quantity | None:
    try:
        return Quantity(Decimal(quantities.parse(text)))
    except ValueError:
        return None


def _quantity(text: str) -> Quantity:
    found = _parsed(text)
    if found is None:
        raise EvaluationError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    return found


def _as_integer(amount: Quantity) -> int:
    if not amount.whole():
        raise EvaluationError("cannot convert value to integer")
    return int(amount.amount)


def _operand(other: Any) -> Decimal:
    if isinstance(other, Quantity):
        return other.amount
    if isinstance(other, int):
        return Decimal(other)
    raise no_overload()


def _sign(value: Any) -> int:
    return int(value > 0) - int(value < 0)


_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)


@total_ordering
class Semver:
    """A semantic version; build metadata does not count."""

    __slots__ = ("numbers", "prerelease")
    cel_type = SEMVER

    def __init__(self, numbers: tuple[int, ...], prerelease: str) -> None:
        self.numbers = numbers
        self.prerelease = prerelease

    def _key(self) -> tuple[Any, ...]:
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease.split("."))
        return (self.numbers, not self.prerelease, parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self._key() == other._key()

    def __lt__(self, other: Semver) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def _version(text: str, normalize: bool) -> Semver | None:
    if normalize:
        text = text.strip().removeprefix("v")
        core = re.match(r"[0-9.]*", text)
        numbers = [part.lstrip("0") or "0" for part in (core[0] if core else "").split(".")]
        rest = text[core.end() if core else 0 :]
        text = ".".join([*numbers, *["0"] * (3 - len(numbers))]) + rest
    match = _SEMVER.fullmatch(text) if len(text) < 1000 else None
    return Semver(tuple(int(part) for part in match.groups()[:3]), match[4] or "") if match else None


def _semver(text: str, normalize: bool = False) -> Semver:
    found = _version(text, normalize)
    if found is None:
        raise EvaluationError("No Major.Minor.Patch elements found")
    return found


def _version_order(a: Semver, b: Semver) -> int:
    return (a > b) - (a < b)


FUNCTIONS: dict[str, Dispatch] = {
    "quantity": {str: _quantity},
    "isQuantity": {str: lambda text: _parsed(text) is not None},
    "isInteger": {Quantity: Quantity.whole},
    "asInteger": {Quantity: _as_integer},
    "asApproximateFloat": {Quantity: lambda amount: float(amount.amount)},
    "sign": {Quantity: lambda amount: _sign(amount.amount)},
    "add": {Quantity: lambda amount, other: Quantity(amount.amount + _operand(other))},
    "sub": {Quantity: lambda amount, other: Quantity(amount.amount - _operand(other))},
    "semver": {str: _semver},
    "isSemver": {str: lambda text, normalize=False: _version(text, normalize) is not None},
    "major": {Semver: lambda version: version.numbers[0]},
    "minor": {Semver: lambda version: version.numbers[1]},
    "patch": {Semver: lambda version: version.numbers[2]},
    "isLessThan": {Quantity: lambda a, b: a.amount < _operand(b), Semver: lambda a, b: a < b},
    "isGreaterThan": {Quantity: lambda a, b: a.amount > _operand(b), Semver: lambda a, b: a > b},
    "compareTo": {Quantity: lambda a, b: _sign(a.amount - _operand(b)), Semver: _version_order},
}

DECLARATIONS: tuple[Declaration, ...] = (
    function("quantity", "string", result=QUANTITY),
    function("isQuantity", "string", result="bool"),
    method("isInteger", QUANTITY, result="bool"),
    method("asInteger", QUANTITY, result="int"),
    method("asApproximateFloat", QUANTITY, result="double"),
    method("sign", QUANTITY, result="int"),
    method("add", QUANTITY, QUANTITY, result=QUANTITY),
    method("add", QUANTITY, "int", result=QUANTITY),
    method("sub", QUANTITY, QUANTITY, result=QUANTITY),
    method("sub", QUANTITY, "int", result=QUANTITY),
    function("semver", "string", result=SEMVER),
    function("semver", "string", "bool", result=SEMVER),
    function("isSemver", "string", result="bool"),
    function("isSemver", "string", "bool", result="bool"),
    *(method(name, SEMVER, result="int") for name in ("major", "minor", "patch")),
    *(
        method(name, kind, kind, result="bool")
        for name in ("isLessThan", "isGreaterThan")
        for kind in (QUANTITY, SEMVER)
    ),
    *(method("compareTo", kind, kind, result="int") for kind in (QUANTITY, SEMVER)),
)
