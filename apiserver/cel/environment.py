"""Compiling expressions: the type checker with Kubernetes' libraries, for variables of declared types.

The checker is Google's own (`cel-expr-python`, over the C++ implementation). It takes a while to load, so it is
imported with the first expression. Errors are put into cel-go's words, which clients of Kubernetes know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from . import ast, cost
from .functions import DECLARATIONS
from .program import Program
from .types import Declarations, DeclType, written_type

_LONGEST = 100_000
_SUFFIX = re.compile(r" \[[A-Z_]+\]$")
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
    """A checked expression: its result's type (`bool`, `string` …), the names it uses, what runs it, its worst cost."""

    source: str
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
        from cel_expr_python import cel

        declarations = Declarations()
        listed = [{"name": name, **declarations.described(kind, name)} for name, kind in self.variables.items()]
        config = cel.NewEnvConfigFromYaml(json.dumps({"variables": listed}))
        return cel.NewEnv(descriptor_pool=declarations.pool(), config=config, extensions=_extensions())

    def compile(self, source: str) -> Compiled:
        """Check and prepare an expression. Raises CompileError."""
        if len(source) > _LONGEST:
            raise CompileError(f"ERROR: <input>:1:1: expression code point size exceeds limit: {_LONGEST}")
        try:
            checked = ast.parse(self._checker.compile(source).serialize())
            for name in checked.literals:
                raise CompileError(f"ERROR: <input>:1:1: undeclared reference to '{name}' (in container '')")
            program = Program(checked)
            worst = cost.estimate(checked.root, self.variables)
        except RuntimeError as error:
            raise CompileError(_reworded(str(error))) from None
        return Compiled(source, str(checked.root.type), checked.variables, program, worst)


def _reworded(text: str) -> str:
    text = _SUFFIX.sub("", text).removeprefix("INVALID_ARGUMENT: ")
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return text


@lru_cache(maxsize=1)
def _extensions() -> list[Any]:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_optional, ext_strings

    overloads: dict[str, list[Any]] = {}
    for declaration in DECLARATIONS:
        overloads.setdefault(declaration.name, []).append(
            cel.Overload(
                declaration.overload,
                written_type(declaration.result),
                [written_type(parameter) for parameter in declaration.parameters],
                declaration.member,
            )
        )
    functions = [cel.FunctionDecl(name, listed) for name, listed in overloads.items()]
    return [ext_strings.ExtStrings(2), ext_optional.ExtOptional(), cel.CelExtension("kubernetes", functions)]
