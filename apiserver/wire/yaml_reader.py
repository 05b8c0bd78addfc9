"""YAML as the values that JSON has, read event by event: depth, size and aliases are bounded while it is read.

PyYAML's own loaders call themselves for each level (in C, where nothing stops them short of the end of the stack), and
repeat what an alias stands for as often as it is named once the value is written as JSON. Here nothing is nested in
calls, and every value is counted, each time that an alias brings it.

Plain scalars mean what they mean to Kubernetes: YAML 1.1's words for true and false, no dates, no base 60.

Source: YAML 1.1; sigs.k8s.io/yaml (which scalars are what, keys of maps, the words of errors).
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode
from typing import Any

import yaml

from k8slite.errors import bad_request

from .limits import DEEPEST, MOST_VALUES, too_many_values

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MOST_TEXT = 3 << 20
"""Characters that aliases may stand for in all."""
_LONGEST_NUMBER = 512

_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_NUMBER = re.compile(r"[-+.0-9]")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = (16, 2, 8, 10)


class _Problem(Exception):
    """What is wrong, in Kubernetes' words."""


def read(body: bytes) -> tuple[Any, list[str]]:
    """The first document, and a line for every key that is set twice. Raises ApiError 400, 413."""
    loader = None
    try:
        loader = _Loader(body)
        return _Reader(loader).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise bad_request(f"error converting YAML to JSON: yaml: {line}{error.problem}") from error
    except yaml.YAMLError as error:
        raise bad_request(f"error converting YAML to JSON: yaml: {error}") from error
    except _Problem as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Frame:
    """A list or a map that is being read."""

    __slots__ = ("anchor", "key", "merged", "text", "value", "values")

    def __init__(self, value: list[Any] | dict[str, Any], anchor: str | None, values: int, text: int) -> None:
        self.value = value
        self.anchor = anchor
        self.key: str | None = None
        """The key whose value comes next."""
        self.merged: list[dict[str, Any]] = []
        """Maps that `<<` named."""
        self.values = values
        """How many values had been read before it, and how much text: then both are known of it at its end."""
        self.text = text


_MERGE = "<<"


class _Reader:
    def __init__(self, loader: Any) -> None:
        self._next = loader.get_event
        self._values = 0
        self._text = 0
        self._anchors: dict[str, tuple[Any, int, int] | None] = {}
        self._repeated: list[str] = []

    def document(self) -> tuple[Any, list[str]]:
        """The value of the first document."""
        stack: list[_Frame] = []
        while True:
            event = self._next()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                value = _scalar(event)
                self._count(1, len(event.value))
                if event.anchor is not None:
                    self._anchors[event.anchor] = value, 1, len(event.value)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if len(stack) >= DEEPEST:
                    raise _Problem(f"yaml: exceeded max depth of {DEEPEST}")
                if stack and _wants_key(stack[-1]):
                    raise _Problem("yaml: invalid map key")
                if event.anchor is not None:
                    self._anchors[event.anchor] = None
                self._count(1, 0)
                made: Any = {} if kind is yaml.MappingStartEvent else []
                stack.append(_Frame(made, event.anchor, self._values - 1, self._text))
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                value = self._close(stack.pop())
            elif kind is yaml.AliasEvent:
                value = self._alias(event.anchor)
            elif kind is yaml.StreamEndEvent:
                return None, self._repeated
            else:
                continue
            if not stack:
                return value, self._repeated
            self._put(stack[-1], value, event)

    def _count(self, values: int, text: int, *, aliased: bool = False) -> None:
        self._values += values
        self._text += text
        if aliased and (self._values > MOST_VALUES or self._text > _MOST_TEXT):
            raise _Problem("yaml: document contains excessive aliasing")
        if self._values > MOST_VALUES:
            raise too_many_values()

    def _close(self, frame: _Frame) -> Any:
        value = frame.value
        if isinstance(value, dict) and frame.merged:
            own = value.copy()
            for merged in reversed(frame.merged):
                self._count(len(merged), 0, aliased=True)
                value.update(merged)
            value.update(own)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = value, self._values - frame.values, self._text - frame.text
        return value

    def _alias(self, name: str) -> Any:
        if name not in self._anchors:
            raise _Problem(f"yaml: unknown anchor '{name}' referenced")
        found = self._anchors[name]
        if found is None:
            raise _Problem(f"yaml: anchor '{name}' value contains itself")
        value, values, text = found
        self._count(values, text, aliased=True)
        return value

    def _put(self, frame: _Frame, value: Any, event: Any) -> None:
        container = frame.value
        if isinstance(container, list):
            container.append(value)
        elif frame.key is None:
            frame.key = key = _key(value)
            if key in container:
                self._repeated.append(f'line {event.start_mark.line + 1}: key "{key}" already set in map')
        else:
            key, frame.key = frame.key, None
            if key == _MERGE:
                frame.merged += _merged(value)
            else:
                container[key] = value


def _wants_key(frame: _Frame) -> bool:
    return frame.key is None and isinstance(frame.value, dict)


def _merged(value: Any) -> list[dict[str, Any]]:
    maps = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in maps):
        raise _Problem("yaml: map merge requires map or sequence of maps as the value")
    return maps


def _key(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise _Problem("Unsupported map key of type: null")


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag is None:
        return plain(text) if event.implicit[0] else text
    return text if event.tag == "!" else _tagged(event.tag.removeprefix(_TAG), text)


def _tagged(tag: str, text: str) -> Any:
    match tag:
        case "binary":
            try:
                return b64decode("".join(text.split()), validate=True).decode()
            except (binascii.Error, ValueError):
                raise _Problem("yaml: !!binary value contains invalid base64 data") from None
        case "null" | "bool" | "int" | "float":
            value = plain(text)
            if tag == "float" and type(value) is int:
                return float(value)
            if (given := _tag_of(value)) != tag:
                raise _Problem(f"yaml: cannot decode !!{given} `{text}` as a !!{tag}")
            return value
        case _:
            return text


def _tag_of(value: Any) -> str:
    return {str: "str", bool: "bool", int: "int", float: "float"}.get(type(value), "null")


def plain(text: str) -> Any:
    """What a plain scalar without a tag is."""
    if text in _WORDS:
        value = _WORDS[text]
        if type(value) is float:
            shown = "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
            raise _Problem(f"json: unsupported value: {shown}")
        return value
    if not _NUMBER.match(text) or len(text) > _LONGEST_NUMBER:
        return text
    digits = text.replace("_", "") if text[0] != "." else text
    if found := _INTEGER.fullmatch(digits):
        number = next(int(each, base) for each, base in zip(found.groups()[1:], _BASES, strict=True) if each)
        number = -number if found[1] == "-" else number
        if -(1 << 63) <= number < 1 << 64:
            return number
    if _FLOAT.fullmatch(digits) and math.isfinite(decimal := float(digits)):
        return decimal
    return text
