"""Formats of strings and numbers that schemas may name, and regular expressions as Go reads them.

Unknown formats mean nothing, as upstream. Patterns are run by RE2, the engine behind Go's: they have its syntax, and no
pattern can hold the server up.

Source: kube-openapi, pkg/validation/strfmt; apiextensions-apiserver, validation/formats.go.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from email.utils import parseaddr
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from k8slite.remembering import remembered

_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


class _Pattern(Protocol):
    def search(self, text: str) -> object: ...


def known(name: str, types: tuple[str, ...]) -> str:
    """The format as far as it means something for these types; empty if it does not."""
    only = types[0] if len(types) == 1 else ""
    if only in _NUMBERS:
        return name if name in _NUMBERS[only] else ""
    if only not in ("", "string"):
        return ""
    return name if name.replace("-", "") in _CHECKS else ""


def check(name: str, value: str) -> bool:
    """Whether a string has a known format."""
    rule = _CHECKS.get(name.replace("-", ""))
    return rule is None or rule(value)


def matches(pattern: str, value: str) -> bool:
    """Whether a pattern is found in a string. A pattern that cannot be read is found nowhere."""
    compiled = _compiled(pattern)
    return compiled is not None and compiled.search(value) is not None


def as_json(value: Any) -> str:
    """A value as compact JSON."""
    return orjson.dumps(value).decode()


@remembered(2048)
def _compiled(pattern: str) -> _Pattern | None:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled: _Pattern = re2.compile(pattern, options)
    except re2.error:
        return None
    return compiled


def _regex(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE | re.ASCII)
    return lambda value: compiled.fullmatch(value) is not None


def _address(version: int) -> Callable[[str], bool]:
    def rule(value: str) -> bool:
        try:
            return "%" not in value and ipaddress.ip_address(value).version == version
        except ValueError:
            return False

    return rule


def _cidr(value: str) -> bool:
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        return False
    return "/" in value and "%" not in value and value.rpartition("/")[2].isdecimal()


def _byte(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(value)


def _uri(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme or value.startswith("/")) and " " not in value


_label = re.compile(r"[^\W_](-?[^\W_])*|[^\W_]([^\W_]|-)*[^\W_]")


def _hostname(value: str) -> bool:
    labels = value.split(".")
    if not 0 < len(value) <= 255 or not all(0 < len(each) <= 63 and _label.fullmatch(each) for each in labels):
        return False
    return len(labels) == 1 or (len(labels[-1]) > 1 and labels[-1].isalpha())


def _email(value: str) -> bool:
    try:
        local, at, domain = parseaddr(value)[1].rpartition("@")
    except RecursionError:  # comments in comments
        return False
    return bool(local and at and domain)


_DATE = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)?"
_COUNT = r"(\d+(\.\d*)?|\.\d+)"
_UNIT = r"(ns|us|µs|μs|ms|s|m|h|d|w)"


def _isbn10(value: str) -> bool:
    digits = value.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{9}[\dXx]", digits):
        return False
    return sum((at + 1) * (10 if digit in "Xx" else int(digit)) for at, digit in enumerate(digits)) % 11 == 0


def _isbn13(value: str) -> bool:
    digits = value.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{13}", digits):
        return False
    return sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(digits)) % 10 == 0


def _credit_card(value: str) -> bool:
    digits = [int(each) for each in reversed(re.sub(r"[\s-]", "", value)) if each.isdecimal()]
    doubled = (each if at % 2 == 0 else each * 2 - 9 * (each > 4) for at, each in enumerate(digits))
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


_HEX = "[0-9a-f]"
_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_CHECKS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _regex(f"{_HEX}{{24}}"),
    "byte": _byte,
    "cidr": _cidr,
    "creditcard": _credit_card,
    "date": _regex(_DATE),
    "datetime": _regex(rf"{_DATE}T{_TIME}"),
    "duration": _regex(
        rf"0|[+-]?({_COUNT}\s*{_UNIT})({_COUNT}\s*{_UNIT})*|\d+ ?(days?|hours?|minutes?|seconds?|weeks?)"
    ),
    "email": _email,
    "hexcolor": _regex("#?([0-9a-f]{3}|[0-9a-f]{6})"),
    "hostname": _hostname,
    "ipv4": _address(4),
    "ipv6": _address(6),
    "isbn": lambda value: _isbn10(value) or _isbn13(value),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "k8slongname": lambda value: len(value) <= 253 and re.fullmatch(rf"{_NAME}(\.{_NAME})*", value) is not None,
    "k8sshortname": lambda value: len(value) <= 63 and re.fullmatch(_NAME, value) is not None,
    "mac": _regex("([0-9a-f]{2}[:-]){5,7}[0-9a-f]{2}|([0-9a-f]{4}\\.){2,3}[0-9a-f]{4}"),
    "password": lambda value: True,
    "rgbcolor": _regex(r"rgb\(\s*(25[0-5]|2[0-4]\d|1?\d?\d)\s*(,\s*(25[0-5]|2[0-4]\d|1?\d?\d)\s*){2}\)"),
    "ssn": _regex(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "uri": _uri,
    "uuid": _regex(f"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid3": _regex(f"{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid4": _regex(f"{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89ab]{_HEX}{{3}}-?{_HEX}{{12}}"),
    "uuid5": _regex(f"{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89ab]{_HEX}{{3}}-?{_HEX}{{12}}"),
}
