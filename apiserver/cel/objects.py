"""Expressions that write objects: `Object{spec: Object.spec{replicas: 3}}`, and `JSONPatch{op: 'add', path: '/spec'}`.

No schema is asked: an object's type is named after where it stands, and has whatever fields the expression gives it.
The type checker wants every type and field declared, so both are gathered from the text first. Protobuf cannot have a
message and a package of one name, as `Object.spec` and `Object.spec.template` would need; so before the check each
type gets a name without dots and of the same length, which leaves the positions in errors right.

Source: Kubernetes documentation, "Mutating Admission Policy"; apiserver, pkg/cel/mutation.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .environment import Compiled, CompileError, Environment, kubernetes, library
from .functions import patches
from .types import Declarations

OBJECT = "Object"
PATCH = "JSONPatch"
_PATCH_FIELDS = {"op": "string", "path": "string", "from": "string", "value": "dyn"}
_MOST_FIELDS = 100_000
"""Of all types together, as each has every word: a large policy needs a tenth, and so many take 0.3 s to declare."""
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
_TOKENS = re.compile(
    r"""(?P<skipped>//[^\n]*
      | [bB]?[rR]  (?: \"\"\"(?s:.*?)\"\"\" | '''(?s:.*?)''' | "[^"\n]*" | '[^'\n]*' )
      | [bB]?      (?: \"\"\"(?s:\\.|.)*?\"\"\" | '''(?s:\\.|.)*?''' | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' ))
    | (?<![\w.]) (?P<type> Object (?:\s*\.\s*[A-Za-z_]\w*)* ) (?=\s*\{)
    | (?P<word> [A-Za-z_]\w* )""",
    re.VERBOSE | re.ASCII,
)


class ObjectEnvironment(Environment):
    """An environment whose expressions may write objects and JSON patches."""

    def compile(self, source: str) -> Compiled:
        """Check and prepare an expression. Raises CompileError."""
        types, words = _gathered(source)
        if len(types) * len(words) > _MOST_FIELDS:
            raise CompileError(f"ERROR: <input>:1:1: objects of {len(types)} types are too many")
        declarations = Declarations()
        declarations.add(PATCH, _PATCH_FIELDS)
        for name in types.values():
            declarations.add(name, dict.fromkeys(words, "dyn"))
        checker = self.checker(declarations, _libraries())
        called = {short: name for name, short in types.items()} | {PATCH: PATCH}
        try:
            return self.check(_exchanged(source, types), checker, called)
        except CompileError as error:
            text = str(error)
            for short, name in called.items():
                text = text.replace(short, name)
            raise CompileError(text) from None


@lru_cache(maxsize=1)
def _libraries() -> list[Any]:
    return [*kubernetes(), library("jsonpatch", patches.DECLARATIONS)]


def _gathered(source: str) -> tuple[dict[str, str], list[str]]:
    """The types that an expression makes objects of, with short names for them, and all words, fields among them."""
    types, words = {OBJECT}, set()
    for token in _TOKENS.finditer(source):
        if token["type"]:
            name = "".join(token["type"].split())
            types.add(name)
            words.update(name.split("."))
        elif token["word"]:
            words.add(token["word"])
    ordered = sorted(types, key=lambda name: (len(name), name))
    return {name: _short(index, len(name)) for index, name in enumerate(ordered)}, sorted(words)


def _short(index: int, length: int) -> str:
    """A name of that length for the type of that rank; the shorter a name, the fewer can there be."""
    if not index:
        return OBJECT
    digits = ""
    while index:
        index, digit = divmod(index, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return f"{OBJECT}_{digits.rjust(length - len(OBJECT) - 1, '0')}"


def _exchanged(source: str, types: dict[str, str]) -> str:
    def exchange(token: re.Match[str]) -> str:
        if not token["type"]:
            return token[0]
        return types["".join(token["type"].split())].ljust(len(token[0]))

    return _TOKENS.sub(exchange, source)
