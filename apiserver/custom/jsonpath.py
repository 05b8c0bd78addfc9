"""JSONPath as printer columns and selectable fields use it: members, indexes, slices, wildcards, descent and filters.

A path that leads nowhere finds nothing; only one that cannot be read is an error.

Source: Kubernetes documentation, "JSONPath Support"; client-go, util/jsonpath.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

Step = Callable[[list[Any]], list[Any]]
_TOKEN = re.compile(
    r"""\.\.(?P<deep>[^.\[\]()@?='"\s]+|\*)
      | \.?\[\?\((?P<filter>.+?)\)\]
      | \.?\[(?P<inside>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\]'"]*)\]
      | \.(?P<name>(?:\\.|[^.\[\]\\])+)""",
    re.VERBOSE,
)
_COMPARISON = re.compile("==|!=|<=|>=|<|>")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class PathError(ValueError):
    """A path that cannot be read."""


def compile_path(path: str) -> Callable[[Any], list[Any]]:
    """A function that finds what a path such as `.spec.ports[0].name` leads to. Raises PathError."""
    steps: list[Step] = []
    position = 0
    text = path.removeprefix("$").removeprefix("@")
    while position < len(text):
        if text[position:] == ".":
            break
        found = _TOKEN.match(text, position)
        if found is None:
            raise PathError(f"cannot read {path!r}")
        steps.append(_step(found))
        position = found.end()

    def find(document: Any) -> list[Any]:
        values = [document]
        for step in steps:
            values = step(values)
        return values

    return find


def selectable(path: str) -> Callable[[dict[str, Any]], str]:
    """A reader of the text of a selectable field, empty if it is unset."""
    find = compile_path(path)

    def read(document: dict[str, Any]) -> str:
        values = find(document)
        return text_of(values[0]) if values and values[0] is not None else ""

    return read


def text_of(value: Any) -> str:
    """A value as it is printed."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
        case dict() | list():
            return orjson.dumps(value).decode()
        case _:
            return str(value)


def _step(found: re.Match[str]) -> Step:
    if found["name"] is not None:
        name = re.sub(r"\\(.)", r"\1", found["name"])
        return _wildcard if name == "*" else _member(name)
    if found["deep"] is not None:
        inner = _wildcard if found["deep"] == "*" else _member(found["deep"])
        return lambda values: inner(list(_descend(values)))
    if found["filter"] is not None:
        return _filter(found["filter"])
    inside = found["inside"].strip()
    if inside == "*":
        return _wildcard
    if inside[:1] in "'\"" and inside:
        return _member(inside[1:-1])
    if re.fullmatch(r"-?\d{1,18}", inside):
        return _index(int(inside))
    if re.fullmatch(r"(-?\d{1,18})?:(-?\d{1,18})?(:(-?\d{1,18})?)?", inside):
        return _slice(slice(*(int(part) if part else None for part in inside.split(":"))))
    if re.fullmatch(r"[\w-]+", inside):
        return _member(inside)
    raise PathError(f"cannot read [{inside}]")


def _member(name: str) -> Step:
    return lambda values: [value[name] for value in values if isinstance(value, dict) and name in value]


def _index(at: int) -> Step:
    return lambda values: [value[at] for value in values if isinstance(value, list) and -len(value) <= at < len(value)]


def _slice(part: slice) -> Step:
    return lambda values: [item for value in values if isinstance(value, list) for item in value[part]]


def _wildcard(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, dict):
            found += value.values()
        elif isinstance(value, list):
            found += value
    return found


def _descend(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        yield value
        if isinstance(value, (dict, list)):
            yield from _descend(value.values() if isinstance(value, dict) else value)


def _filter(text: str) -> Step:
    found = _COMPARISON.search(text)
    if found is None:
        wanted = _operand(text.strip())
        return lambda values: [item for value in values if isinstance(value, list) for item in value if wanted(item)]
    compare = _OPERATORS[found[0]]
    left, right = _operand(text[: found.start()].strip()), _operand(text[found.end() :].strip())

    def holds(item: Any) -> bool:
        ours, theirs = left(item), right(item)
        try:
            return bool(ours and theirs) and compare(ours[0], theirs[0])
        except TypeError:
            return False

    return lambda values: [item for value in values if isinstance(value, list) for item in value if holds(item)]


def _operand(text: str) -> Callable[[Any], list[Any]]:
    if text.startswith(("@", "$")):
        return compile_path(text)
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1:
        return lambda _: [text[1:-1]]
    try:
        constant = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PathError(f"cannot read {text!r}") from error
    return lambda _: [constant]
