"""Names, labels and qualified names: what each may look like, and Kubernetes' words when it does not.

Every rule returns None for a good value and the complaint for a bad one. Results are cached, because the same few
strings come again and again.

Source: Kubernetes' apimachinery, util/validation; RFC 1035 and RFC 1123.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from k8slite.remembering import remembered

Rule = Callable[[str], str | None]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"

_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_label_1035 = re.compile(_LABEL_1035).fullmatch
_is_qualified = re.compile(_QUALIFIED).fullmatch
_is_value = re.compile(_VALUE).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


@remembered(8192)
def dns_label(value: str) -> str | None:
    """An RFC 1123 label: names of Namespaces, containers, volumes."""
    if len(value) > 63:
        return _too_long(63)
    if _is_label(value):
        return None
    if _is_subdomain(value):
        return "must not contain dots"
    return (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
    )


@remembered(8192)
def dns_subdomain(value: str) -> str | None:
    """An RFC 1123 subdomain: names of most objects."""
    if len(value) > 253:
        return _too_long(253)
    if _is_subdomain(value):
        return None
    return (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
        "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        f"'{_SUBDOMAIN}')"
    )


_LOOSE_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_LOOSE_SUBDOMAIN = rf"{_LOOSE_LABEL}(\.{_LOOSE_LABEL})*"
_is_loose_subdomain = re.compile(_LOOSE_SUBDOMAIN).fullmatch


def loose_subdomain(value: str) -> str | None:
    """A subdomain that may have underscores: what resolvers search in."""
    if len(value) > 253:
        return _too_long(253)
    if _is_loose_subdomain(value):
        return None
    return (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must "
        f"start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        f"'{_LOOSE_SUBDOMAIN}')"
    )


@remembered(1024)
def dns_1035_label(value: str) -> str | None:
    """An RFC 1035 label: names of Services."""
    if len(value) > 63:
        return _too_long(63)
    if _is_label_1035(value):
        return None
    return (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation "
        f"is '{_LABEL_1035}')"
    )


@remembered(1024)
def path_segment(value: str) -> str | None:
    """Anything that stands between two slashes: names of roles and their bindings."""
    if value in (".", ".."):
        return f"may not be '{value}'"
    for character in "/%":
        if character in value:
            return f"may not contain '{character}'"
    return None


@remembered(1024)
def ip_address(value: str) -> str | None:
    """An IP address in canonical form: names of IPAddress objects."""
    try:
        canonical = str(ipaddress.ip_address(value))
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    return None if canonical == value else f"must be in canonical form ({canonical!r})"


@remembered(8192)
def qualified_name(value: str) -> str | None:
    """`name` or `prefix/name`: keys of labels, annotations, taints, resources."""
    prefix, slash, name = value.partition("/")
    if "/" in name:
        return (
            "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
            "an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            f"'{_QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
    if not slash:
        prefix, name = "", prefix
    else:
        if not prefix:
            return "prefix part must be non-empty"
        if problem := dns_subdomain(prefix):
            return f"prefix part {problem}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return f"name part {_too_long(63)}"
    if not _is_qualified(name):
        return (
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            f"'{_QUALIFIED}')"
        )
    return None


@remembered(8192)
def label_value(value: str) -> str | None:
    """The value of a label; may be empty."""
    if len(value) > 63:
        return _too_long(63)
    if _is_value(value):
        return None
    return (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
        "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
        f"validation is '{_VALUE}')"
    )


@remembered(8192)
def environment_name(value: str) -> str | None:
    """The name of an environment variable: printable ASCII without `=`."""
    if not value:
        return "environment variable name must not be empty"
    if all(" " <= character <= "~" and character != "=" for character in value):
        return None
    return "a valid environment variable name must consist only of printable ASCII characters other than '='"


@remembered(8192)
def config_key(value: str) -> str | None:
    """A key of a ConfigMap or Secret, which may become a file name."""
    if len(value) > 253:
        return _too_long(253)
    if not _is_config_key(value):
        return (
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            f"'KEY_NAME',  or 'key-name', regex used for validation is '{_CONFIG_KEY}')"
        )
    if value in (".", "..") or value.startswith(".."):
        return (
            "must not be '.'" if value == "." else "must not start with '..'" if len(value) > 2 else "must not be '..'"
        )
    return None


_is_port_name = re.compile("[a-z0-9-]{1,15}").fullmatch


@remembered(1024)
def port_name(value: str) -> str | None:
    """An IANA service name: names of container ports, and what a targetPort may say."""
    if len(value) > 15:
        return "must be no more than 15 characters"
    if not _is_port_name(value):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", value):
        return "must contain at least one letter (a-z)"
    if "--" in value:
        return "must not contain consecutive hyphens"
    if value[0] == "-" or value[-1] == "-":
        return "must not begin or end with a hyphen"
    return None


_HEADER = "[-A-Za-z0-9]+"
_is_header = re.compile(_HEADER).fullmatch


def http_header(value: str) -> str | None:
    """The name of an HTTP header."""
    if _is_header(value):
        return None
    return (
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
        f"validation is '{_HEADER}')"
    )


def base(value: str) -> str:
    """A name's beginning as it would be in a whole name: a hyphen at its end is followed by something."""
    return value[:-2] + "a" if len(value) > 1 and value.endswith("-") else value


def port(value: int) -> str | None:
    """A port number."""
    return None if 1 <= value <= 65535 else "must be between 1 and 65535, inclusive"


is_http_path = re.compile(HTTP_PATH).fullmatch
"""Whether a text may stand in a URL's path."""
