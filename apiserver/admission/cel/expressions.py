"""Compiling expressions of admission, and saying why one does not compile.

Compiling takes a millisecond or so. A policy is checked when it is written and used a moment later, and compiled anew
whenever any policy changes; so the expressions of late are kept.

Source: apiserver, pkg/admission/plugin/cel/{compile,composition}.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from ...cel.ast import TypeOf
from ...cel.environment import Compiled, CompileError, Environment
from ...cel.types import BOOL, DOUBLE, DYN, INT, STRING, DeclType, list_of, map_of
from .declared import Scope

ANY = "any"
"""Among the types that are asked for: whatever it evaluates to."""
_REMEMBERED = 1024
_ENVIRONMENTS = 16
"""Environments are large, and most policies share one."""
_SCALARS = {"bool": BOOL, "int": INT, "double": DOUBLE, "string": STRING}


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression ready to run, or why it cannot (`error`, in the words for whoever wrote it)."""

    source: str
    compiled: Compiled | None
    error: str = ""


class Compiler:
    """Compiles the expressions of one scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = _Scoped(_signature(scope), scope)
        self._environment: Environment | None = None

    def compile(self, source: str, *returns: str) -> Expression:
        """An expression that must give one of the types `returns`."""
        return _compiled(source, returns, self._scope)

    def compile_anew(self, source: str, *returns: str) -> Expression:
        """The same, of which nothing is kept: for scopes that are not met again."""
        if self._environment is None:
            self._environment = self._scope.scope.environment()
        return _check(self._environment, source, returns)


@dataclass(frozen=True, slots=True)
class _Scoped:
    """A scope by what tells it from others; `scope` is the first such."""

    signature: tuple[object, ...]
    scope: Scope = field(compare=False)


@lru_cache(maxsize=_REMEMBERED)
def _compiled(source: str, returns: tuple[str, ...], scope: _Scoped) -> Expression:
    return _check(_environment(scope), source, returns)


@lru_cache(maxsize=_ENVIRONMENTS)
def _environment(scope: _Scoped) -> Environment:
    return scope.scope.environment()


def _check(environment: Environment, source: str, returns: tuple[str, ...]) -> Expression:
    try:
        compiled = environment.compile(source)
    except CompileError as error:
        return Expression(source, None, f"compilation failed: {error}")
    if compiled.result in returns or ANY in returns:
        return Expression(source, compiled)
    wanted = returns[0] if len(returns) == 1 else f"one of [{' '.join(returns)}]"
    return Expression(source, None, f"must evaluate to {wanted} but got {compiled.result}")


def _signature(scope: Scope) -> tuple[object, ...]:
    variables = None if scope.variables is None else tuple((name, repr(kind)) for name, kind in scope.variables.items())
    return (scope.params, scope.authorizer, scope.objects, variables, id(scope.kind), id(scope.param_kind))


def declared_type(kind: TypeOf) -> DeclType:
    """The type of a variable that is composed by an expression of that type."""
    match kind.kind:
        case "list":
            return list_of(declared_type(kind.params[0]) if kind.params else DYN)
        case "map" if kind.params and kind.params[0].kind == "string":
            return map_of(declared_type(kind.params[1]))
        case "bytes" | "timestamp" | "duration":
            return DeclType(kind.kind)
        case _:
            return _SCALARS.get(kind.kind, DYN)


def compose(scope: Scope, variables: Sequence[Mapping[str, str]]) -> tuple[Scope, dict[str, Expression]]:
    """The variables of a policy, each compiled with those before it in sight, and the scope of what comes after."""
    expressions: dict[str, Expression] = {}
    if variables and scope.variables is None:
        scope = replace(scope, variables={})
    for variable in variables:
        name = variable.get("name") or ""
        expression = Compiler(scope).compile(variable.get("expression") or "", ANY)
        kind = declared_type(expression.compiled.type) if expression.compiled is not None else DYN
        expressions[name] = expression
        scope = scope.with_variable(name, kind)
    return scope, expressions
