"""Evaluation: a checked expression becomes nested Python closures, which count what they cost.

Values are read as they are, without being copied into another library's types. The cost is counted in cel-go's units;
beyond the limit the evaluation ends with `CostExceeded`, which no `||` and no macro can swallow.

`&&`, `||` and the macros all and exists forgive an error on one side when the other side decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .ast import Call, Checked, Comprehension, Const, Ident, ListOf, Node, Select, StructOf
from .charges import CHARGES
from .functions import ANY, FUNCTIONS
from .functions.optionals import select as optional_select
from .values import CostExceeded, EvaluationError, Optional, TypeName, equal, no_overload

_LIST = 10
_MAP = 30


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


class _Failure:
    """An error held as an accumulator's value, until the fold knows whether it matters."""

    __slots__ = ("error",)

    def __init__(self, error: EvaluationError) -> None:
        self.error = error


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
            return _map(node)
        case Comprehension():
            return _fold(node)
        case _:
            raise AssertionError(node)


def _ident(node: Ident) -> Step:
    name = node.name.removeprefix(".")
    type_value = TypeName(name)

    def ident(frame: Frame) -> Any:
        frame.cost += 1
        try:
            value = frame.variables[name]
        except KeyError:
            if node.type.kind == "type":
                return type_value
            raise EvaluationError(f"no such attribute(s): {name}") from None
        if type(value) is _Failure:
            raise value.error
        return value

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

    if len(operands) == 2:
        first, second = operands

        def binary(frame: Frame) -> Any:
            a, b = first(frame), second(frame)
            run = dispatch.get(type(a), fallback)
            if run is None:
                raise no_overload()
            frame.cost += 1 if charge is None else charge((a, b))
            if frame.cost > frame.limit:
                raise CostExceeded
            try:
                return run(a, b)
            except TypeError:
                raise no_overload() from None

        return binary

    def call(frame: Frame) -> Any:
        args = [operand(frame) for operand in operands]
        run = dispatch.get(type(args[0]), fallback) if args else fallback
        if run is None:
            raise no_overload()
        frame.charge(1 if charge is None else charge(args))
        try:
            return run(*args)
        except TypeError:
            raise no_overload() from None

    return call


def _logic(node: Call, *, decisive: bool) -> Step:
    """`||` (decisive is true) and `&&` (decisive is false)."""
    first, second = (_step(arg) for arg in node.args)

    def logic(frame: Frame) -> bool:
        failure: EvaluationError | None = None
        for side in (first, second):
            try:
                value = side(frame)
            except CostExceeded:
                raise
            except EvaluationError as error:
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


def _conditional(node: Call) -> Step:
    condition, then, otherwise = (_step(arg) for arg in node.args)

    def conditional(frame: Frame) -> Any:
        decision = condition(frame)
        if not isinstance(decision, bool):
            raise no_overload()
        return then(frame) if decision else otherwise(frame)

    return conditional


def _not_strictly_false(node: Call) -> Step:
    inner = _step(node.args[0])

    def lenient(frame: Frame) -> bool:
        try:
            return inner(frame) is not False
        except CostExceeded:
            raise
        except EvaluationError:
            return True

    return lenient


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
    "@not_strictly_false": _not_strictly_false,
    "__not_strictly_false__": _not_strictly_false,
    "or": _lazy_or,
    "orValue": _lazy_or,
}


def _list(node: ListOf) -> Step:
    elements = [(_step(element), index in node.optional) for index, element in enumerate(node.elements)]

    def build(frame: Frame) -> list[Any]:
        frame.charge(_LIST)
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

    def build(frame: Frame) -> dict[Any, Any]:
        frame.charge(_MAP)
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


def _fold(node: Comprehension) -> Step:
    over, initial, result = _step(node.over), _step(node.initial), _step(node.result)
    always = isinstance(node.condition, Const) and node.condition.value is True
    condition = _step(node.condition)
    step = _appending(node) or _step(node.step)
    stop = _stops_at(node)
    quick = stop is not None
    each = 3 if quick else 1  # the condition's own cost included
    variable, accumulator = node.variable, node.accumulator

    def fold(frame: Frame) -> Any:
        items = over(frame)
        if not isinstance(items, (list, dict)):
            raise no_overload()
        names = frame.variables
        outer = [(name, names[name]) for name in (variable, accumulator) if name in names]
        names[accumulator] = initial(frame)
        limit = frame.limit
        try:
            for item in list(items) if isinstance(items, dict) else items:
                frame.cost += each
                if frame.cost > limit:
                    raise CostExceeded
                names[variable] = item
                if not always and (names[accumulator] is stop if quick else not condition(frame)):
                    break
                try:
                    names[accumulator] = step(frame)
                except CostExceeded:
                    raise
                except EvaluationError as error:
                    if always:
                        raise
                    names[accumulator] = _Failure(error)
            return result(frame)
        finally:
            names.pop(variable, None)
            names.pop(accumulator, None)
            names.update(outer)

    return fold


def _stops_at(node: Comprehension) -> bool | None:
    """The accumulator's value at which all and exists stop, which spares evaluating their condition; else None."""
    match node.condition:
        case Call(function="@not_strictly_false", args=(Ident(name=name),)) if name == node.accumulator:
            return False
        case Call(function="@not_strictly_false", args=(Call(function="!_", args=(Ident(name=name),)),)):
            return True if name == node.accumulator else None
        case _:
            return None


def _appending(node: Comprehension) -> Step | None:
    """The step of map and filter, `accumulator + [x]`, without copying the list each time round.

    Nothing else can see the accumulator: it starts as a fresh list and its name cannot be written by a user.
    """
    if not isinstance(node.initial, ListOf) or node.initial.elements:
        return None
    return _append_step(node.step, node.accumulator)


def _append_step(step: Node, accumulator: str) -> Step | None:
    match step:
        case Ident(name=name) if name == accumulator:
            return _step(step)
        case Call(function="_+_", args=(Ident(name=name), ListOf() as addition)) if name == accumulator:
            built = _step(addition)

            def append(frame: Frame) -> list[Any]:
                items: list[Any] = frame.variables[accumulator]
                items.extend(built(frame))
                return items

            return append
        case Call(function="_?_:_", args=(condition, then, otherwise)):
            branches = _append_step(then, accumulator), _append_step(otherwise, accumulator)
            if branches[0] is None or branches[1] is None:
                return None
            test, yes, no = _step(condition), branches[0], branches[1]

            def choose(frame: Frame) -> Any:
                decision = test(frame)
                if not isinstance(decision, bool):
                    raise no_overload()
                return yes(frame) if decision else no(frame)

            return choose
        case _:
            return None
