"""URLs, IP addresses and address ranges.

Source: Kubernetes documentation, "Kubernetes URL library", "IP address library", "CIDR library"; Go's net/url
and netip.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from ..values import EvaluationError
from .base import Declaration, Dispatch, function, method

URL = "kubernetes.URL"
IP = "net.IP"
CIDR = "net.CIDR"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_CONTROL = re.compile(r"[\x00-\x1f\x7f]|^ ")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_SAFE = "$&+,/:;=@-._~!*'()%"


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute URI, or an absolute path."""

    parts: SplitResult
    cel_type = URL


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address without a zone."""

    address: _Address
    cel_type = IP


@dataclass(frozen=True, slots=True)
class Range:
    """A CIDR: an address and how many of its leading bits name the network."""

    address: _Address
    length: int
    cel_type = CIDR

    @property
    def network(self) -> _Network:
        """The range with the host's bits cleared."""
        return ipaddress.ip_network((self.address, self.length), strict=False)


def parse_url(text: str) -> Url | None:
    """An absolute URI or path, as Go's ParseRequestURI takes it; None if it is none."""
    if not text or _CONTROL.search(text) or _BAD_ESCAPE.search(text.partition("?")[0]):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    if " " in parts.netloc or (not parts.scheme and not text.startswith("/")):
        return None
    absolute = parts.scheme and (parts.netloc or parts.path.startswith("/") or ":" in text)
    return Url(parts) if absolute or text.startswith("/") else None


def _url(text: str) -> Url:
    found = parse_url(text)
    if found is None:
        raise EvaluationError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    return found


def _host(url: Url) -> str:
    return url.parts.netloc.rpartition("@")[2]


def _hostname(url: Url) -> str:
    host = _host(url)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _port(url: Url) -> str:
    return "" if url.parts.port is None else str(url.parts.port)


def _path(url: Url) -> str:
    return quote(url.parts.path, safe=_PATH_SAFE)


def _query(url: Url) -> dict[str, list[str]]:
    return {unquote(key): values for key, values in parse_qs(url.parts.query, keep_blank_values=True).items()}


def _address(text: str) -> _Address:
    if "%" in text:
        raise EvaluationError(f'IP address "{text}" with zone value is not allowed')
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise EvaluationError(
            f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): unable to parse IP'
        ) from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise EvaluationError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return address


def _is_ip(text: str) -> bool:
    try:
        _address(text)
    except EvaluationError:
        return False
    return True


def _cidr(text: str) -> Range:
    host, slash, length = text.partition("/")
    try:
        address = _address(host)
    except EvaluationError:
        slash = ""
    digits = length.isascii() and length.isdigit() and len(length) <= 3 and str(int(length)) == length
    if not slash or not digits or int(length) > address.max_prefixlen:
        raise EvaluationError(
            "network address parse error during conversion from string: "
            f'netip.ParsePrefix("{text}"): {"bad bits after slash" if slash else "no " + repr("/")}'
        )
    return Range(address, int(length))


def _is_cidr(text: str) -> bool:
    try:
        _cidr(text)
    except EvaluationError:
        return False
    return True


def _contains_ip(range_: Range, other: Any) -> bool:
    address = _address(other) if isinstance(other, str) else other.address
    return address.version == range_.address.version and address in range_.network


def _contains_cidr(range_: Range, other: Any) -> bool:
    inner = _cidr(other) if isinstance(other, str) else other
    same = inner.address.version == range_.address.version
    return same and inner.length >= range_.length and inner.address in range_.network


def _masked(range_: Range) -> Range:
    return Range(range_.network.network_address, range_.length)


def _link_local_multicast(ip: Address) -> bool:
    block = "224.0.0.0/24" if ip.address.version == 4 else "ff02::/16"
    return ip.address in ipaddress.ip_network(block)


def _global_unicast(ip: Address) -> bool:
    address = ip.address
    broadcast = str(address) == "255.255.255.255"
    return not (
        address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local or broadcast
    )


FUNCTIONS: dict[str, Dispatch] = {
    "url": {str: _url},
    "isURL": {str: lambda text: parse_url(text) is not None},
    "getScheme": {Url: lambda url: url.parts.scheme},
    "getHost": {Url: _host},
    "getHostname": {Url: _hostname},
    "getPort": {Url: _port},
    "getEscapedPath": {Url: _path},
    "getQuery": {Url: _query},
    "ip": {str: lambda text: Address(_address(text)), Range: lambda range_: Address(range_.address)},
    "isIP": {str: _is_ip},
    "ip.isCanonical": {str: lambda text: str(_address(text)) == text},
    "family": {Address: lambda ip: ip.address.version},
    "isUnspecified": {Address: lambda ip: ip.address.is_unspecified},
    "isLoopback": {Address: lambda ip: ip.address.is_loopback},
    "isLinkLocalMulticast": {Address: _link_local_multicast},
    "isLinkLocalUnicast": {Address: lambda ip: ip.address.is_link_local},
    "isGlobalUnicast": {Address: _global_unicast},
    "cidr": {str: _cidr},
    "isCIDR": {str: _is_cidr},
    "containsIP": {Range: _contains_ip},
    "containsCIDR": {Range: _contains_cidr},
    "prefixLength": {Range: lambda range_: range_.length},
    "masked": {Range: _masked},
    "string": {Address: lambda ip: str(ip.address), Range: lambda range_: f"{range_.address}/{range_.length}"},
}

_CHECKS = ("isUnspecified", "isLoopback", "isLinkLocalMulticast", "isLinkLocalUnicast", "isGlobalUnicast")

DECLARATIONS: tuple[Declaration, ...] = (
    function("url", "string", result=URL),
    function("isURL", "string", result="bool"),
    *(
        method(name, URL, result="string")
        for name in ("getScheme", "getHost", "getHostname", "getPort", "getEscapedPath")
    ),
    method("getQuery", URL, result="map(string, list(string))"),
    function("ip", "string", result=IP),
    function("isIP", "string", result="bool"),
    function("ip.isCanonical", "string", result="bool"),
    method("family", IP, result="int"),
    *(method(name, IP, result="bool") for name in _CHECKS),
    function("cidr", "string", result=CIDR),
    function("isCIDR", "string", result="bool"),
    *(method("containsIP", CIDR, kind, result="bool") for kind in ("string", IP)),
    *(method("containsCIDR", CIDR, kind, result="bool") for kind in ("string", CIDR)),
    method("prefixLength", CIDR, result="int"),
    method("masked", CIDR, result=CIDR),
    method("ip", CIDR, result=IP),
    *(function("string", kind, result="string") for kind in (IP, CIDR)),
)
