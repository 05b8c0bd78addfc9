"""Evaluation: a checked expression becomes nested Python closures, which count what they cost.

Values are read as they are, without being copied into another library's types. The cost is counted in cel-go's units;
beyond the limit the evaluation ends with `CostExceeded`, which no `||` and no macro can swallow.

`&&`, `||` and the macros all and exists forgive an error on one side when the other side decides.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .ast import Call, Checked, Comprehension, Const, Ident, ListOf, Node, Select, StructOf
from .charges import CHARGES
from .folds import FORGIVING, Frame, Step, fold
from .functions import ANY, FUNCTIONS
from .functions.optionals import select as optional_select
from .values import CostExceeded, EvaluationError, Optional, TypedObject, TypeName, equal, no_overload

_LIST = 10
_MAP = 30
_OBJECT = 40
_READING = 10_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an evaluation ended: `value`, or `error`; and what it cost."""

    value: Any
    error: EvaluationError | None
    cost: int


class Program:
    """An expression, ready to be evaluated any number of times."""

    def __init__(self, checked: Checked) -> None:
        self._run = _step(checked.root)

    def evaluate(self, variables: Mapping[str, Any], *, limit: int) -> Outcome:
        """Evaluate with `variables`, spending at most `limit` units."""
        frame = Frame(dict(variables), limit)
        try:
            return Outcome(self._run(frame), None, frame.cost)
        except EvaluationError as error:
            return Outcome(None, error, frame.cost)
        except RecursionError:
            return Outcome(None, EvaluationError("expression is nested too deeply"), frame.cost)


def _step(node: Node) -> Step:
    match node:
        case Const():
            value = node.value
            return lambda frame: value
        case Ident():
            return _ident(node)
        case Select():
            return _select(node)
        case Call():
            special = _SPECIAL.get(node.function)
            return special(node) if special else _call(node)
        case ListOf():
            return _list(node)
        case StructOf():
            return _object(node) if node.name else _map(node)
        case Comprehension():
            return fold(node, _step)
        case _:
            raise AssertionError(node)


def _ident(node: Ident) -> Step:
    name = node.name.removeprefix(".")
    type_value = TypeName(name)

    def ident(frame: Frame) -> Any:
        frame.cost += 1
        try:
            return frame.variables[name]
        except KeyError:
            if node.type.kind == "type":
                return type_value
            raise EvaluationError(f"no such attribute(s): {name}") from None

    return ident


def _select(node: Select) -> Step:
    operand, name = _step(node.operand), node.field

    def present(frame: Frame) -> Any:
        value = operand(frame)
        if isinstance(value, Optional):
            return value.present and isinstance(value.value, dict) and name in value.value
        if not isinstance(value, dict):
            raise no_overload()
        return name in value

    def select(frame: Frame) -> Any:
        value = operand(frame)
        frame.cost += 1
        try:
            return value[name]
        except (KeyError, TypeError, IndexError):
            pass
        if isinstance(value, Optional):
            return optional_select(value, name)
        raise EvaluationError(f"no such key: {name}") if isinstance(value, dict) else no_overload()

    return present if node.test else select


def _call(node: Call) -> Step:
    dispatch = FUNCTIONS.get(node.function, {})
    fallback = dispatch.get(ANY)
    charge = CHARGES.get(node.function)
    operands = [_step(operand) for operand in node.operands]

    def carry_out(frame: Frame, args: Sequence[Any]) -> Any:
        run = dispatch.get(type(args[0]), fallback) if args else fallback
        if run is None:
            raise no_overload()
        frame.charge(1 if charge is None else charge(args))
        try:
            return run(*args)
        except TypeError:
            raise no_overload() from None
        except (ValueError, ArithmeticError) as error:
            raise EvaluationError(str(error)) from None

    if len(operands) != 2:
        return _known(node, lambda frame: carry_out(frame, [operand(frame) for operand in operands]))
    first, second = operands
    simple = _SIMPLE.get(node.function)
    if simple is None:
        return lambda frame: carry_out(frame, (first(frame), second(frame)))

    arithmetic = node.function in _ARITHMETIC

    def binary(frame: Frame) -> Any:
        a, b = first(frame), second(frame)
        kind = type(a)
        if kind is type(b):
            if kind is int:
                result = simple(a, b)
                if _LEAST <= result <= _MOST:
                    frame.cost += 1
                    return result
            elif kind is str and not arithmetic:
                size = min(len(a), len(b))
                frame.cost += 1 if size <= 10 else (size + 9) // 10
                return simple(a, b)
        return carry_out(frame, (a, b))

    return binary


_SIMPLE: dict[str, Callable[[Any, Any], Any]] = {
    "_==_": operator.eq,
    "_!=_": operator.ne,
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
    "_+_": operator.add,
    "_-_": operator.sub,
    "_*_": operator.mul,
}
"""What is done with two integers, or compares two strings, is most of what rules do: it needs no table of types."""

_ARITHMETIC = frozenset({"_+_", "_-_", "_*_"})
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1

_READINGS = frozenset(
    {"timestamp", "duration", "quantity", "semver", "ip", "cidr", "url", "int", "uint", "double", "string", "bytes"}
)


def _known(node: Call, run: Step) -> Step:
    """A literal that a function reads, as `quantity('1Gi')`: read once, charged each time."""
    if node.function not in _READINGS or not all(isinstance(operand, Const) for operand in node.operands):
        return run
    frame = Frame({}, _READING)
    try:
        value = run(frame)
    except EvaluationError:
        return run
    units = frame.cost

    def known(frame: Frame) -> Any:
        frame.cost += units
        return value

    return known


def _logic(node: Call, *, decisive: bool) -> Step:
    """`||` (decisive is true) and `&&` (decisive is false)."""
    first, second = (_step(arg) for arg in node.args)
    units = _literals(node)

    def logic(frame: Frame) -> bool:
        failure: EvaluationError | None = None
        frame.cost += units
        for side in (first, second):
            try:
                value = side(frame)
            except CostExceeded:
                raise
            except EvaluationError as error:
                frame.cost += FORGIVING
                failure = failure or error
                continue
            if value is decisive:
                return bool(decisive)
            if not isinstance(value, bool):
                failure = failure or no_overload()
        if failure is not None:
            raise failure
        return not decisive

    return logic


def _literals(node: Call) -> int:
    """How many operands are literals: those cost nothing themselves, so that long chains of them would be free."""
    return sum(isinstance(operand, Const) for operand in node.operands)


def _conditional(node: Call) -> Step:
    condition, then, otherwise = (_step(arg) for arg in node.args)
    units = _literals(node)

    def conditional(frame: Frame) -> Any:
        frame.cost += units
        decision = condition(frame)
        if not isinstance(decision, bool):
            raise no_overload()
        return then(frame) if decision else otherwise(frame)

    return conditional


def _lazy_or(node: Call) -> Step:
    """`a.or(b)` and `a.orValue(b)`: b is evaluated only if it is needed."""
    option, other = (_step(operand) for operand in node.operands)
    unwrap = node.function == "orValue"

    def choose(frame: Frame) -> Any:
        value = option(frame)
        if not isinstance(value, Optional):
            raise no_overload()
        frame.charge(1)
        if value.present:
            return value.value if unwrap else value
        return other(frame)

    return choose


_SPECIAL: dict[str, Callable[[Call], Step]] = {
    "_&&_": lambda node: _logic(node, decisive=False),
    "_||_": lambda node: _logic(node, decisive=True),
    "_?_:_": _conditional,
    "or": _lazy_or,
    "orValue": _lazy_or,
}


def _list(node: ListOf) -> Step:
    elements = [(_step(element), index in node.optional) for index, element in enumerate(node.elements)]

    units = _LIST + len(elements) // 10

    def build(frame: Frame) -> list[Any]:
        frame.charge(units)
        items = []
        for element, optional in elements:
            value = element(frame)
            if not optional:
                items.append(value)
            elif value.present:
                items.append(value.value)
        return items

    return build


def _map(node: StructOf) -> Step:
    entries = [
        (_step(entry.key) if isinstance(entry.key, Node) else None, _step(entry.value), entry) for entry in node.entries
    ]

    units = _MAP + len(entries)

    def build(frame: Frame) -> dict[Any, Any]:
        frame.charge(units)
        built: dict[Any, Any] = {}
        for make_key, make_value, entry in entries:
            key = entry.key if make_key is None else make_key(frame)
            if not isinstance(key, (str, int)):
                raise EvaluationError(f"unsupported key type: {key}")
            value = make_value(frame)
            if entry.optional:
                if not value.present:
                    continue
                value = value.value
            if key in built and any(equal(key, other) for other in built):
                raise EvaluationError(f"Failed with repeated key: {key}")
            built[key] = value
        return built

    return build


def _object(node: StructOf) -> Step:
    name = node.name
    entries = [(entry.key, _step(entry.value), entry.optional) for entry in node.entries]
    units = _OBJECT + len(entries)

    def build(frame: Frame) -> TypedObject:
        frame.charge(units)
        built = TypedObject(name)
        for key, make_value, optional in entries:
            value = make_value(frame)
            if not optional:
                built[key] = value
            elif value.present:
                built[key] = value.value
        return built

    return build
