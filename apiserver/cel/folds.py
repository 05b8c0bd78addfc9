"""The macros all, exists, exists_one, map, filter, optMap, transformMap …, which the parser turns into folds.

`all` and `exists` end with the first element that decides and forgive errors of the others then. Their accumulator, and
the one of `map` and `filter`, cannot be named by a user: so it need not be kept where expressions find variables, and a
list or map can be extended in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .ast import Call, Comprehension, Ident, ListOf, Node, StructOf
from .values import CostExceeded, EvaluationError, no_overload


class Frame:
    """One evaluation: the variables in sight and what it has cost so far."""

    __slots__ = ("cost", "limit", "variables")

    def __init__(self, variables: dict[str, Any], limit: int) -> None:
        self.variables = variables
        self.limit = limit
        self.cost = 0

    def charge(self, units: int) -> None:
        """Add to the cost; raises `CostExceeded` beyond the limit."""
        self.cost += units
        if self.cost > self.limit:
            raise CostExceeded


Step = Callable[[Frame], Any]
Compile = Callable[[Node], Step]


def fold(node: Comprehension, compile_: Compile) -> Step:
    """What carries the fold out; `compile_` prepares its parts."""
    return _deciding(node, compile_) or _general(node, compile_)


@contextmanager
def _scope(frame: Frame, *names: str) -> Iterator[dict[str, Any]]:
    """The variables, in which `names` are the fold's own until it ends."""
    variables = frame.variables
    outer = [(name, variables[name]) for name in names if name in variables]
    try:
        yield variables
    finally:
        for name in names:
            variables.pop(name, None)
        variables.update(outer)


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list):
        return value
    raise no_overload()


def _pairs(value: Any) -> list[Any]:
    """What macros with two variables go through: indexes with elements, keys with values."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list):
        return list(enumerate(value))
    raise no_overload()


#: What a forgiven error costs: Python takes a while to raise and catch it.
FORGIVING = 5
#: What all and exists charge per element besides their predicate: condition, accumulator and operator.
_DECIDING = 4


def _deciding(node: Comprehension, compile_: Compile) -> Step | None:
    """`all` and `exists`."""
    match node.step:
        case Call(function="_&&_" | "_||_" as function, args=(Ident(name=name), predicate)) if name == node.accumulator:
            decisive = function == "_||_"
        case _:
            return None
    over, test, variable, second = compile_(node.over), compile_(predicate), node.variable, node.second
    each = _pairs if second else _items

    def decide(frame: Frame) -> bool:
        items = each(over(frame))
        limit = frame.limit
        failure: EvaluationError | None = None
        with _scope(frame, variable, second) as variables:
            for item in items:
                frame.cost += _DECIDING
                if frame.cost > limit:
                    raise CostExceeded
                if second:
                    variables[variable], variables[second] = item
                else:
                    variables[variable] = item
                try:
                    value = test(frame)
                except CostExceeded:
                    raise
                except EvaluationError as error:
                    frame.cost += FORGIVING
                    failure = failure or error
                    continue
                if value is decisive:
                    return value is True
                if value is not True and value is not False:
                    failure = failure or no_overload()
        frame.cost += 1
        if failure is not None:
            raise failure
        return not decisive

    return decide


def _general(node: Comprehension, compile_: Compile) -> Step:
    """The others: of them, none ends early."""
    over, initial, result = compile_(node.over), compile_(node.initial), compile_(node.result)
    step = _appending(node, compile_) or compile_(node.step)
    variable, second, accumulator = node.variable, node.second, node.accumulator
    each = _pairs if second else _items

    def accumulate(frame: Frame) -> Any:
        items = each(over(frame))
        limit = frame.limit
        first = initial(frame)
        with _scope(frame, variable, second, accumulator) as variables:
            variables[accumulator] = first
            for item in items:
                frame.cost += 1
                if frame.cost > limit:
                    raise CostExceeded
                if second:
                    variables[variable], variables[second] = item
                else:
                    variables[variable] = item
                variables[accumulator] = step(frame)
            return result(frame)

    return accumulate


def _appending(node: Comprehension, compile_: Compile) -> Step | None:
    """The step of map, filter and transformMap, without copying the list or map each time round."""
    match node.initial:
        case ListOf(elements=()) | StructOf(entries=()):
            return _append_step(node.step, node.accumulator, compile_)
        case _:
            return None


def _append_step(step: Node, accumulator: str, compile_: Compile) -> Step | None:
    match step:
        case Ident(name=name) if name == accumulator:
            return compile_(step)
        case Call(function="_+_", args=(Ident(name=name), ListOf() as addition)) if name == accumulator:
            built = compile_(addition)

            def append(frame: Frame) -> list[Any]:
                items: list[Any] = frame.variables[accumulator]
                items.extend(built(frame))
                return items

            return append
        case Call(function="cel.@mapInsert", args=(Ident(name=name), *parts)) if name == accumulator:
            return _insert_step([compile_(part) for part in parts], accumulator)
        case Call(function="_?_:_", args=(condition, then, otherwise)):
            test = compile_(condition)
            yes, no = _append_step(then, accumulator, compile_), _append_step(otherwise, accumulator, compile_)
            if yes is None or no is None:
                return None

            def choose(frame: Frame) -> Any:
                decision = test(frame)
                if not isinstance(decision, bool):
                    raise no_overload()
                return yes(frame) if decision else no(frame)

            return choose
        case _:
            return None


def _insert_step(parts: list[Step], accumulator: str) -> Step:
    """Put one entry (a key and a value, or a map) into the map that is being made."""

    def insert(frame: Frame) -> dict[Any, Any]:
        made: dict[Any, Any] = frame.variables[accumulator]
        values = [part(frame) for part in parts]
        entries = values[0] if len(values) == 1 else {values[0]: values[1]}
        if not isinstance(entries, dict):
            raise no_overload()
        frame.charge(len(entries))
        for key, value in entries.items():
            if key in made:
                raise EvaluationError(f"insert failed: key {key} already exists")
            made[key] = value
        return made

    return insert
