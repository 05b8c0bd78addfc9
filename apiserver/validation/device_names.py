"""What devices, their pools and their attributes may be called.

Source: Kubernetes' resource validation (validatePoolName, validateQualifiedName).
"""

from __future__ import annotations

import re

from k8slite.errors import Cause, invalid_value, required, too_long

from . import names
from .storage import driver_name
from .values import named

_LONGEST_POOL = 253
_LONGEST_IDENTIFIER = 32
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_is_identifier = re.compile(_IDENTIFIER).fullmatch


def device_name(name: str | None, field: str) -> list[Cause]:
    """The name of a device in its pool."""
    return named(name, field, names.dns_label)


def pool_name(name: str | None, field: str) -> list[Cause]:
    """The name of a pool: domain names, joined by slashes."""
    if not name:
        return [required(field)]
    causes = [too_long(field, _LONGEST_POOL)] if len(name) > _LONGEST_POOL else []
    for part in name.split("/"):
        if problem := names.dns_subdomain(part):
            causes.append(invalid_value(field, part, problem))
    return causes


def qualified_name(name: str, field: str) -> list[Cause]:
    """The name of an attribute or capacity: an identifier, maybe below a domain."""
    domain, slash, identifier = name.partition("/")
    if not slash:
        return _identifier(name, field)
    causes = driver_name(domain, field) if domain else [invalid_value(field, "", "the domain must not be empty")]
    if not identifier:
        return [*causes, invalid_value(field, "", "the name must not be empty")]
    return causes + _identifier(identifier, field)


def fully_qualified_name(name: str, field: str) -> list[Cause]:
    """The same with a domain in any case."""
    causes = qualified_name(name, field)
    if "/" not in name:
        detail = "a fully qualified name must be a domain and a name separated by a slash"
        causes.append(invalid_value(field, name, detail))
    return causes


def _identifier(name: str, field: str) -> list[Cause]:
    causes = [too_long(field, _LONGEST_IDENTIFIER)] if len(name) > _LONGEST_IDENTIFIER else []
    if not _is_identifier(name):
        detail = (
            "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
            "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is "
            f"'{_IDENTIFIER}')"
        )
        causes.append(invalid_value(field, name, detail))
    return causes
