"""Rules for single values that many groups share: counts, percentages, choices, names, what must not change.

Every rule takes the value and its path and returns causes; an unset value is nobody's fault here, whoever needs it says
so with `needed`.

Source: Kubernetes' apimachinery, api/validation and util/validation; apps validation (percentages).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from k8slite.errors import Cause, duplicate, invalid_value, not_supported, required

from . import names
from .sequences import natural

Document = dict[str, Any]
Item = TypeVar("Item")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

IMMUTABLE = "field is immutable"
_is_percentage = re.compile(r"[0-9]+%").fullmatch
_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)


def non_negative(value: int | None, field: str) -> list[Cause]:
    """A count is not below zero."""
    return at_least(0, value, field)


def at_least(least: int, value: int | None, field: str) -> list[Cause]:
    """A count has a smallest value."""
    if value is None or value >= least:
        return []
    return [invalid_value(field, value, f"must be greater than or equal to {least}")]


def positive(value: int | None, field: str, detail: str = "must be greater than 0") -> list[Cause]:
    """A count is above zero."""
    return [] if value is None or value > 0 else [invalid_value(field, value, detail)]


def count_or_percentage(value: Any, field: str) -> list[Cause]:
    """A number that is not negative, or a percentage."""
    if isinstance(value, int):
        return non_negative(value, field)
    if isinstance(value, str) and not _is_percentage(value):
        return [invalid_value(field, value, _PERCENT)]
    return []


def not_above_all(value: Any, field: str) -> list[Cause]:
    """A percentage is of something: at most 100 %."""
    if isinstance(value, str) and _is_percentage(value) and natural(value[:-1]) > 100:
        return [invalid_value(field, value, "must not be greater than 100%")]
    return []


def choice(value: str | None, field: str, allowed: Sequence[str]) -> list[Cause]:
    """One word of an enumeration; unset is not one of them."""
    return [] if value in allowed else [not_supported(field, value or "", allowed)]


def optional_choice(value: str | None, field: str, allowed: Sequence[str]) -> list[Cause]:
    """One word of an enumeration, or nothing."""
    return [] if value is None else choice(value, field, allowed)


def needed(value: Any, field: str, detail: str = "") -> list[Cause]:
    """Something is there."""
    return [] if value else [required(field, detail)]


def named(value: str | None, field: str, rule: names.Rule) -> list[Cause]:
    """A name that must be there, and look as its rule says."""
    if not value:
        return [required(field)]
    return spelled(value, field, rule)


def spelled(value: str | None, field: str, rule: names.Rule) -> list[Cause]:
    """A text that looks as its rule says."""
    problem = rule(value) if value is not None else None
    return [invalid_value(field, value, problem)] if problem else []


def each(items: Iterable[Item] | None, field: str, check: Callable[[Item, str], list[Cause]]) -> list[Cause]:
    """The causes of a list's items, each with its own path."""
    return [cause for index, item in enumerate(items or ()) for cause in check(item, f"{field}[{index}]")]


def distinct(keys: Iterable[Any], field: str, member: str = "") -> list[Cause]:
    """No key of a list comes twice; `member` is the name of the key in its item. Empty keys do not count."""
    seen: set[Any] = set()
    causes: list[Cause] = []
    for index, key in enumerate(keys):
        if key in (None, ""):
            continue
        if key in seen:
            causes.append(duplicate(f"{field}[{index}]{member and '.' + member}", key))
        seen.add(key)
    return causes


def unchanged(new: Document, old: Document, *paths: str) -> list[Cause]:
    """Some fields are for ever. Paths are dotted."""
    causes = []
    for path in paths:
        after = at(new, path)
        if after != at(old, path):
            causes.append(invalid_value(path, after, IMMUTABLE))
    return causes


def at(document: Any, path: str) -> Any:
    """The value at a dotted path, None if there is none."""
    for part in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(part)
    return document


def cidr(value: str, field: str) -> tuple[Network | None, list[Cause]]:
    """An address range, its host bits zero."""
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in value:
        return None, [invalid_value(field, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    return network, []
