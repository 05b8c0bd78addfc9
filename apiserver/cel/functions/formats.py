"""Named formats of strings: `format.dns1123Label().validate(x)` gives what is wrong with x, or nothing.

Source: Kubernetes documentation, "Kubernetes format library".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

from ...validation import names
from ..values import NONE, Optional, parse_date, parse_timestamp
from .base import ANY, Declaration, Dispatch, function, method
from .network import parse_url

FORMAT = "kubernetes.NamedFormat"
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its name; `complaint` gives what is wrong with a text, or None."""

    name: str
    complaint: Callable[[str], str | None]
    cel_type = FORMAT


def is_base64(text: str) -> bool:
    """Whether it is base64 in the standard alphabet, padded."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _prefix(rule: names.Rule) -> names.Rule:
    def check(text: str) -> str | None:
        return rule(text[:-1] + "a" if text.endswith("-") else text)

    return check


def _must(holds: Callable[[str], bool], complaint: str) -> Callable[[str], str | None]:
    return lambda text: None if holds(text) else complaint


def _uri(text: str) -> str | None:
    return None if parse_url(text) else f'parse "{text}": invalid URI for request'


_FORMATS: dict[str, Callable[[str], str | None]] = {
    "dns1123Label": names.dns_label,
    "dns1123Subdomain": names.dns_subdomain,
    "dns1035Label": names.dns_1035_label,
    "qualifiedName": names.qualified_name,
    "dns1123LabelPrefix": _prefix(names.dns_label),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain),
    "dns1035LabelPrefix": _prefix(names.dns_1035_label),
    "labelValue": names.label_value,
    "uri": _uri,
    "uuid": _must(lambda text: _UUID.fullmatch(text) is not None, "does not match the UUID format"),
    "byte": _must(is_base64, "invalid base64"),
    "date": _must(lambda text: parse_date(text) is not None, "invalid date"),
    "datetime": _must(lambda text: parse_timestamp(text) is not None, "invalid datetime"),
}


def _named(name: str) -> Optional:
    return Optional(True, Format(name, _FORMATS[name])) if name in _FORMATS else NONE


def _validate(form: Format, text: str) -> Optional:
    complaint = form.complaint(text)
    return NONE if complaint is None else Optional(True, [complaint])


def _constant(name: str) -> Callable[[], Format]:
    return lambda: Format(name, _FORMATS[name])


FUNCTIONS: dict[str, Dispatch] = {
    "format.named": {str: _named},
    "validate": {Format: _validate},
    **{f"format.{name}": {ANY: _constant(name)} for name in _FORMATS},
}

DECLARATIONS: tuple[Declaration, ...] = (
    function("format.named", "string", result=f"optional_type({FORMAT})"),
    method("validate", FORMAT, "string", result="optional_type(list(string))"),
    *(function(f"format.{name}", result=FORMAT) for name in _FORMATS),
)
