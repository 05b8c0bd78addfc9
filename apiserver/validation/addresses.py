"""Rules for IP addresses and ranges of them, as fields of old kinds hold them: valid, but not canonical.

Source: Kubernetes' apimachinery, util/validation/ip.go; core validation (ValidateNonSpecialIP).
"""

from __future__ import annotations

import ipaddress

from k8slite.errors import Cause, invalid_value

from .sequences import natural

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_RANGE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def parse(text: str) -> Address | None:
    """The address, None if it is none. Leading zeroes count as Go's parser counts them: not at all."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    octets = text.split(".")
    if len(octets) != 4 or not all(octet.isascii() and octet.isdecimal() and natural(octet) < 256 for octet in octets):
        return None
    return ipaddress.ip_address(".".join(str(natural(octet)) for octet in octets))


def ip_address(text: str, field: str) -> list[Cause]:
    """An address without leading zeroes, and not an IPv4 address in IPv6's clothes."""
    address = parse(text)
    if address is None or "%" in text:
        return [invalid_value(field, text, _ADDRESS)]
    if address.version == 4 and str(address) != text:
        return [invalid_value(field, text, "must not have leading 0s")]
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return [invalid_value(field, text, "must not be an IPv4-mapped IPv6 address")]
    return []


def ip_range(text: str, field: str) -> list[Cause]:
    """A range: an address and the length of its prefix, no bit set behind it."""
    address, slash, length = text.partition("/")
    found = parse(address)
    if found is None or not slash or not length.isdecimal() or natural(length) > found.max_prefixlen:
        return [invalid_value(field, text, _RANGE)]
    if (found.version == 4 and str(found) != address) or (len(length) > 1 and length[0] == "0"):
        return [invalid_value(field, text, "must not have leading 0s in IP or prefix length")]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return [invalid_value(field, text, "must not have an IPv4-mapped IPv6 address")]
    if ipaddress.ip_network(f"{found}/{length}", strict=False).network_address != found:
        return [invalid_value(field, text, "must not have bits set beyond the prefix length")]
    return []


def ordinary(text: str, field: str) -> list[Cause]:
    """An address that can be another machine's."""
    address = parse(text)
    if address is None:
        return [invalid_value(field, text, "must be a valid IP address")]
    causes: list[Cause] = []
    if address.is_unspecified:
        causes.append(invalid_value(field, text, f"may not be unspecified ({text})"))
    if address.is_loopback:
        causes.append(invalid_value(field, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address in _LINK_LOCAL[address.version]:
        detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        causes.append(invalid_value(field, text, detail))
    if address in _LOCAL_MULTICAST[address.version]:
        detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        causes.append(invalid_value(field, text, detail))
    return causes


def both_families(texts: list[str]) -> bool:
    """Whether addresses of IPv4 and of IPv6 are there."""
    return len({address.version for text in texts if (address := parse(text.partition("/")[0]))}) > 1


_LINK_LOCAL = {4: ipaddress.ip_network("169.254.0.0/16"), 6: ipaddress.ip_network("fe80::/10")}
_LOCAL_MULTICAST = {4: ipaddress.ip_network("224.0.0.0/24"), 6: ipaddress.ip_network("ff02::/16")}
