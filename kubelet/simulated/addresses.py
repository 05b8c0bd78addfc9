"""Pod addresses of thousands of nodes: a block for each, a bit for each address. Pure bookkeeping."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from k8slite.config import ConfigError

_KEPT = 2
"""The first addresses of a block: the network's own and the gateway's."""


class NoAddress(Exception):
    """The node's block is used up."""


@dataclass(slots=True)
class Block:
    """One node's addresses: the first, how many, and which are given (a bit each)."""

    first: int
    size: int
    given: int = 0
    by_pod: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, cidr: str) -> Block:
        """The block of a pod CIDR. Raises ValueError."""
        network = ipaddress.IPv4Network(cidr)
        return cls(int(network.network_address), network.num_addresses)

    def give(self, uid: str) -> str:
        """The pod's address, the same each time. Raises NoAddress."""
        number = self.by_pod.get(uid)
        if number is None:
            free = ~(self.given | ((1 << _KEPT) - 1))
            number = (free & -free).bit_length() - 1
            if number >= self.size - 1:  # the last one is for broadcasts
                raise NoAddress(f"none of the {self.size} addresses from {ipaddress.IPv4Address(self.first)} is left")
            self._take(uid, number)
        return str(ipaddress.IPv4Address(self.first + number))

    def keep(self, uid: str, address: str) -> None:
        """The pod has an address already: if it is one of the block's, nobody else is to get it."""
        try:
            number = int(ipaddress.IPv4Address(address)) - self.first
        except ValueError:
            return
        if 0 <= number < self.size and uid not in self.by_pod:
            self._take(uid, number)

    def _take(self, uid: str, number: int) -> None:
        self.by_pod[uid] = number
        self.given |= 1 << number

    def release(self, uid: str) -> None:
        """The pod is gone."""
        if (number := self.by_pod.pop(uid, None)) is not None:
            self.given &= ~(1 << number)


def blocks(cidr: str, *, nodes: int, pods: int) -> list[str]:
    """A block for each node, with room for so many pods. Raises ConfigError if the range is too small."""
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise ConfigError(f"podCidr: {error}") from error
    bits = max(2, (pods + _KEPT).bit_length())
    most = 1 << max(0, 32 - bits - network.prefixlen) if 32 - bits >= network.prefixlen else 0
    if most < nodes:
        raise ConfigError(f"podCidr: {cidr} has room for {most} nodes of {pods} pods, not for {nodes}")
    first = int(network.network_address)
    return [f"{ipaddress.IPv4Address(first + (index << bits))}/{32 - bits}" for index in range(nodes)]
