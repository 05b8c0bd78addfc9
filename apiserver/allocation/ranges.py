"""The ranges that Services get their addresses from: those of the configuration, and ServiceCIDRs that are in use.

The configuration says which families there are, and which is the first. Its own ranges stand in the ServiceCIDR
`kubernetes` as well, which takes them out of use when it is deleted; other ServiceCIDRs add to them.

Source: KEP-1880, Multiple Service CIDRs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from k8slite.config import ConfigError

from ..lookup import Rows
from ..strategies.base import Document

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
OWN = "kubernetes"
"""The ServiceCIDR of the configuration's ranges."""
_LARGEST = 1 << 20
"""So many addresses of a range are given out; an IPv6 range may be larger than anybody can count."""


class Ranges:
    """What may be given out now."""

    def __init__(self, configured: str, cidrs: Rows | None = None) -> None:
        """`configured` is one range, or one of each family with a comma between. Raises ConfigError."""
        self._configured = parse(configured)
        self._cidrs = cidrs
        self._changed = -1
        self._usable: dict[str, tuple[Network, ...]] = {}

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the cluster, the first first."""
        return tuple(family_of(network) for network in self._configured)

    def of(self, family: str) -> tuple[Network, ...]:
        """The ranges of a family, in the order in which they are used up."""
        changed = self._cidrs.changed if self._cidrs is not None else 0
        if changed != self._changed:
            self._usable = self._read()
            self._changed = changed
        return self._usable.get(family, ())

    def known(self, family: str) -> list[Network]:
        """All ranges of a family that there are, in use or not: an address in one of them is no stranger."""
        found = list(self._configured)
        for entry in self._cidrs.select() if self._cidrs is not None else ():
            found += _networks(entry.document)
        return [network for network in found if family_of(network) == family]

    def offsets(self, network: Network) -> range:
        """The numbers of the addresses of a range that may be given out; the API server's own is left out."""
        last = network.num_addresses - (2 if network.version == 4 else 1)
        return range(2 if network == self._configured[0] else 1, min(last, _LARGEST) + 1)

    def _read(self) -> dict[str, tuple[Network, ...]]:
        found = list(self._configured)
        for entry in self._cidrs.select() if self._cidrs is not None else ():
            document = entry.document
            networks = list(_networks(document))
            if _in_use(document):
                found += [network for network in networks if network not in found]
            elif document["metadata"]["name"] == OWN:
                found = [network for network in found if network not in networks]
        families: dict[str, tuple[Network, ...]] = {}
        for network in found:
            families[family_of(network)] = (*families.get(family_of(network), ()), network)
        return families


def parse(configured: str) -> tuple[Network, ...]:
    """The ranges of the setting. Raises ConfigError."""
    try:
        networks = tuple(ipaddress.ip_network(text.strip()) for text in configured.split(","))
    except ValueError as error:
        raise ConfigError(f"serviceCidr: {error}") from error
    if len(networks) > 2 or len({network.version for network in networks}) < len(networks):
        raise ConfigError(f"serviceCidr: {configured}: more than one range of a family")
    return networks


def family_of(network: Network) -> str:
    """`IPv4` or `IPv6`."""
    return f"IPv{network.version}"


def _networks(document: Document) -> Iterator[Network]:
    for text in (document.get("spec") or {}).get("cidrs") or ():
        try:
            yield ipaddress.ip_network(text)
        except ValueError:
            continue


def _in_use(document: Document) -> bool:
    conditions = (document.get("status") or {}).get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and not document["metadata"].get("deletionTimestamp")
