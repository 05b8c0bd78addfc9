"""What keys and values of labels may look like, and Kubernetes' words when they do not.

Source: apimachinery, api/validate/content (`IsLabelKey`, `IsLabelValue`).
"""

from __future__ import annotations

import re

from .remembering import remembered

_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_NAME})?"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

_is_name = re.compile(_NAME).fullmatch
_is_value = re.compile(_VALUE).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch

_LONGEST = 63
_LONGEST_PREFIX = 253
_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


@remembered(4096)
def key_problems(key: str) -> tuple[str, ...]:
    """What is wrong with a key (`name` or `prefix/name`), nothing if it is good."""
    parts = key.split("/")
    if len(parts) > 2:
        return (
            f"a valid label key {_NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )
    problems = []
    name = parts[-1]
    if len(parts) == 2:
        problems += [f"prefix part {problem}" for problem in _prefix_problems(parts[0])]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > _LONGEST:
        problems.append(f"name part {_too_long(_LONGEST)}")
    if not _is_name(name):
        problems.append(f"name part {_NAME_RULE}")
    return tuple(problems)


def _prefix_problems(prefix: str) -> list[str]:
    if not prefix:
        return ["must be non-empty"]
    problems = [_too_long(_LONGEST_PREFIX)] if len(prefix) > _LONGEST_PREFIX else []
    if not _is_subdomain(prefix):
        problems.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            f"start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            f"'{_SUBDOMAIN}')"
        )
    return problems


@remembered(4096)
def value_problems(value: str) -> tuple[str, ...]:
    """What is wrong with a value, nothing if it is good. A value may be empty."""
    problems = [_too_long(_LONGEST)] if len(value) > _LONGEST else []
    if not _is_value(value):
        problems.append(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
            f"validation is '{_VALUE}')"
        )
    return tuple(problems)
