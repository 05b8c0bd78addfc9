"""Compiling expressions: the type checker with Kubernetes' libraries, for variables of declared types.

The checker is Google's own (`cel-expr-python`, over the C++ implementation). It takes a while to load, so it is
imported with the first expression. Errors are put into cel-go's words, which clients of Kubernetes know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from . import ast, cost
from .functions import DECLARATIONS, Declaration
from .program import Program
from .types import Declarations, DeclType, written_type

_LONGEST = 100_000
_SUFFIX = re.compile(r" \[[A-Z_]+\]$")
_UNDECLARED = re.compile(r":(\d+): (undeclared reference to ')(\w+)\.[\w.]+(' .*)\n \| (.*)\n \| \.*\^")
_CASCADED = re.compile(r"\nERROR: [^\n]*'\*error\*'[^\n]*(?:\n \| [^\n]*)*")
"""Errors about what is wrong already: cel-go does not list them."""
_WORDS = (
    (re.compile(r"undefined field '([^']*)' not found in struct '[^']*'"), r"undefined field '\1'"),
    (re.compile(r"expression of type '(.*)' cannot be the operand of a select operation"),
     r"type '\1' does not support field selection"),
    (re.compile(r"(?:\w+)\(\) variable name must be a simple identifier"), "argument must be a simple name"),
)  # fmt: skip


class CompileError(ValueError):
    """An expression with syntax or type errors; the text lists each with its line and column."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A checked expression: its result's type (also as text, `list(int)`), the names it uses, what runs it, its worst
    cost."""

    source: str
    type: ast.TypeOf
    result: str
    names: frozenset[str]
    program: Program
    max_cost: int


class Environment:
    """What an expression may use: `variables` by name, and all of Kubernetes' libraries."""

    def __init__(self, variables: Mapping[str, DeclType]) -> None:
        self.variables = dict(variables)

    @cached_property
    def _checker(self) -> Any:
        return self.checker(Declarations(), kubernetes())

    def checker(self, declarations: Declarations, libraries: list[Any]) -> Any:
        """A type checker for the variables, with further messages declared, if any, and these libraries."""
        from cel_expr_python import cel

        listed = [{"name": name, **declarations.described(kind, name)} for name, kind in self.variables.items()]
        described = {"variables": listed, "extensions": [{"name": "two-var-comprehensions"}]}
        config = cel.NewEnvConfigFromYaml(json.dumps(described))
        return cel.NewEnv(descriptor_pool=declarations.pool(), config=config, extensions=libraries)

    def compile(self, source: str) -> Compiled:
        """Check and prepare an expression. Raises CompileError."""
        return self.check(source, self._checker, {})

    def check(self, source: str, checker: Any, types: Mapping[str, str]) -> Compiled:
        """The same with a checker for objects of these types: what they are called, by their names to the checker."""
        if len(source) > _LONGEST:
            raise CompileError(f"ERROR: <input>:1:1: expression code point size exceeds limit: {_LONGEST}")
        try:
            checked = ast.parse(checker.compile(source).serialize(), types)
            for name in checked.literals.difference(types.values()):
                raise CompileError(f"ERROR: <input>:1:1: undeclared reference to '{name}' (in container '')")
            program = Program(checked)
            worst = cost.estimate(checked.root, self.variables)
        except RuntimeError as error:
            raise CompileError(_reworded(str(error))) from None
        return Compiled(source, checked.root.type, str(checked.root.type), checked.variables, program, worst)


def _reworded(text: str) -> str:
    text = _SUFFIX.sub("", text).removeprefix("INVALID_ARGUMENT: ")
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return _UNDECLARED.sub(_undeclared, _CASCADED.sub("", text))


def _undeclared(found: re.Match[str]) -> str:
    """An error about `a.b.c` as one about `a`, and pointing there."""
    name, line = found[3], found[5]
    places = [match.start() for match in re.finditer(rf"\b{name}\b", line[: int(found[1])])]
    at = places[-1] if places else int(found[1]) - 1
    return f":{at + 1}: {found[2]}{name}{found[4]}\n | {line}\n | {'.' * at}^"


@lru_cache(maxsize=1)
def kubernetes() -> list[Any]:
    """The libraries that every expression has."""
    from cel_expr_python.ext import ext_optional, ext_strings

    return [ext_strings.ExtStrings(2), ext_optional.ExtOptional(), library("kubernetes", DECLARATIONS)]


def library(name: str, declarations: Iterable[Declaration]) -> Any:
    """Functions as the checker takes them."""
    from cel_expr_python import cel

    overloads: dict[str, list[Any]] = {}
    for declaration in declarations:
        overloads.setdefault(declaration.name, []).append(
            cel.Overload(
                declaration.overload,
                written_type(declaration.result),
                [written_type(parameter) for parameter in declaration.parameters],
                declaration.member,
            )
        )
    return cel.CelExtension(name, [cel.FunctionDecl(function, listed) for function, listed in overloads.items()])
