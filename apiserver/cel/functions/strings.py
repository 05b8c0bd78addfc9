"""Functions of strings: the language's own, cel-go's strings library (version 2), and Kubernetes' find and findAll.

Regular expressions are RE2's: matching takes time linear in the text, whatever the expression.

Source: cel-go, ext/strings.go; Kubernetes documentation, "Kubernetes regex library".
"""

from __future__ import annotations

import json
import math
import re
import string
from typing import Any

from k8slite.remembering import remembered

from ..values import Duration, EvaluationError, Timestamp, TypeName, type_name
from .base import Declaration, Dispatch, for_lists, method
from .standard import text_of

_MAX_PRECISION = 1000
_QUOTED = {
    "\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\", '"': r"\"",
}  # fmt: skip
_SPACE = string.whitespace + "\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_CLAUSE = re.compile(r"%(?:\.(\d+))?(.)?", re.DOTALL)


@remembered(512)
def regex(pattern: str) -> Any:
    """A compiled RE2 expression; `EvaluationError` for one that is none."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise EvaluationError(f"error parsing regexp: {text}") from None


def _matches(text: str, pattern: str) -> bool:
    return regex(pattern).search(text) is not None


def _find(text: str, pattern: str) -> str:
    found = regex(pattern).search(text)
    return str(found[0]) if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = []
    if limit != 0:
        for match in regex(pattern).finditer(text):
            found.append(str(match[0]))
            if len(found) == limit:
                break
    return found


def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise EvaluationError(f"index out of range: {at}")
    return text[at : at + 1]


def _offset(text: str, offset: int) -> int:
    if not 0 <= offset <= len(text):
        raise EvaluationError(f"index out of range: {offset}")
    return offset


def _index_of(text: str, part: str, offset: int = 0) -> int:
    return text.find(part, _offset(text, offset))


def _last_index_of(text: str, part: str, offset: int | None = None) -> int:
    return text.rfind(part) if offset is None else text.rfind(part, 0, _offset(text, offset) + len(part))


def _substring(text: str, start: int, end: int | None = None) -> str:
    if not 0 <= start <= len(text):
        raise EvaluationError(f"index out of range: {start}")
    if end is not None and not 0 <= end <= len(text):
        raise EvaluationError(f"index out of range: {end}")
    if end is not None and start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        letters = list(text)
        return letters if limit < 0 or limit >= len(letters) else [*letters[: limit - 1], "".join(letters[limit - 1 :])]
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _join(items: list[Any], separator: str = "") -> str:
    if not all(isinstance(item, str) for item in items):
        raise EvaluationError("no such overload")
    return separator.join(items)


def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(letter, letter) for letter in text) + '"'


def _format(template: str, values: list[Any]) -> str:
    """`%s %d %f %e %b %o %x %X`, with a precision, as cel-go formats them."""
    rest = iter(values)
    parts: list[str] = []
    at = 0
    for clause in _CLAUSE.finditer(template):
        parts.append(template[at : clause.start()])
        at = clause.end()
        if clause[2] == "%" and clause[1] is None:
            parts.append("%")
            continue
        if clause[2] is None or clause[2] not in "sdfebxXo":
            raise EvaluationError(
                f'could not parse formatting clause: unrecognized formatting clause "{clause[2] or ""}"'
            )
        try:
            value = next(rest)
        except StopIteration:
            raise EvaluationError(f"index {len(values)} out of range") from None
        precision = 6 if clause[1] is None else int(clause[1])
        if precision > _MAX_PRECISION:
            raise EvaluationError("could not parse formatting clause: precision is too large")
        parts.append(_clause(clause[2], value, precision))
    return "".join(parts) + template[at:]


def _clause(verb: str, value: Any, precision: int) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    match verb:
        case "s":
            return _formatted(value)
        case "d" if whole:
            return str(int(value))
        case "f" | "e" if isinstance(value, float) or value in ("NaN", "Infinity", "-Infinity"):
            return _localized(float(value), precision, scientific=verb == "e")
        case "b" if isinstance(value, int):
            return format(int(value), "b")
        case "o" if whole:
            return format(int(value), "o")
        case "x" | "X":
            if whole:
                return format(int(value), verb)
            raw = value.encode() if isinstance(value, str) else value
            if isinstance(raw, bytes):
                return raw.hex() if verb == "x" else raw.hex().upper()
    raise EvaluationError(f"error during formatting: no such overload for '{verb}' and {type_name(value)}")


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _localized(value: float, precision: int, *, scientific: bool) -> str:
    """A number as American readers know it, which this version of the library gives: `1,234.50`, `1.05 × 10⁰³`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if not scientific:
        return format(value, f",.{precision}f")
    mantissa, _, exponent = format(value, f".{precision}e").partition("e")
    return f"{mantissa}\u202f×\u202f10{exponent.removeprefix('+').translate(_SUPERSCRIPT)}"


def _formatted(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool() | int() | float() | bytes() | str() | Timestamp() | Duration():
            return text_of(value)
        case list():
            return "[" + ", ".join(_nested(item) for item in value) + "]"
        case dict():
            pairs = sorted(((_nested(key), item) for key, item in value.items()), key=lambda pair: pair[0])
            return "{" + ", ".join(f"{key}:{_nested(item)}" for key, item in pairs) + "}"
        case TypeName():
            return value.name
        case _:
            raise EvaluationError(
                "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, "
                f"maps, lists, types, durations, and timestamps, was given {type_name(value)}"
            )


def _nested(value: Any) -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case bytes():
            return "b" + json.dumps(text_of(value), ensure_ascii=False)
        case float():
            return f"{value:.6f}" if math.isfinite(value) else f'"{text_of(value)}"'
        case Timestamp():
            return f'timestamp("{value}")'
        case Duration():
            return f'duration("{value}")'
        case _:
            return _formatted(value)


FUNCTIONS: dict[str, Dispatch] = {
    "contains": {str: lambda text, part: part in text},
    "startsWith": {str: str.startswith},
    "endsWith": {str: str.endswith},
    "matches": {str: _matches},
    "find": {str: _find},
    "findAll": {str: _find_all},
    "charAt": {str: _char_at},
    "indexOf": {str: _index_of},
    "lastIndexOf": {str: _last_index_of},
    "lowerAscii": {str: lambda text: text.translate(_LOWER)},
    "upperAscii": {str: lambda text: text.translate(_UPPER)},
    "replace": {str: str.replace},
    "split": {str: _split},
    "substring": {str: _substring},
    "trim": {str: lambda text: text.strip(_SPACE)},
    "join": for_lists(_join),
    "format": {str: _format},
    "strings.quote": {str: _quote},
}

DECLARATIONS: tuple[Declaration, ...] = (
    method("find", "string", "string", result="string"),
    method("findAll", "string", "string", result="list(string)"),
    method("findAll", "string", "string", "int", result="list(string)"),
)
