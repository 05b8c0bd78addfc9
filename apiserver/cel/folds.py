"""The macros all, exists, exists_one, map, filter and optMap, which the parser turns into folds.

`all` and `exists` end with the first element that decides and forgive errors of the others then. Their accumulator, and
the one of `map` and `filter`, cannot be named by a user: so it need not be kept where expressions find variables, and a
list can be extended in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .ast import Call, Comprehension, Ident, ListOf, Node
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
    over, test, variable = compile_(node.over), compile_(predicate), node.variable

    def decide(frame: Frame) -> bool:
        items = _items(over(frame))
        limit = frame.limit
        failure: EvaluationError | None = None
        with _scope(frame, variable) as variables:
            for item in items:
                frame.cost += _DECIDING
                if frame.cost > limit:
                    raise CostExceeded
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
    variable, accumulator = node.variable, node.accumulator

    def accumulate(frame: Frame) -> Any:
        items = _items(over(frame))
        limit = frame.limit
        first = initial(frame)
        with _scope(frame, variable, accumulator) as variables:
            variables[accumulator] = first
            for item in items:
                frame.cost += 1
                if frame.cost > limit:
                    raise CostExceeded
                variables[variable] = item
                variables[accumulator] = step(frame)
            return result(frame)

    return accumulate


def _appending(node: Comprehension, compile_: Compile) -> Step | None:
    """The step of map and filter, `accumulator + [x]`, without copying the list each time round."""
    if not isinstance(node.initial, ListOf) or node.initial.elements:
        return None
    return _append_step(node.step, node.accumulator, compile_)


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
