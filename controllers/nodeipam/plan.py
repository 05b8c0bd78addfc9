"""Cutting pod networks for nodes out of the cluster's.

The first block is given to no node: the address of the pod bridge lies in it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from k8slite.config import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Blocks:
    """The blocks of one size in the cluster's network, and which of them are taken."""

    def __init__(self, cluster_cidr: str, mask_size: int) -> None:
        try:
            self._cluster = ipaddress.ip_network(cluster_cidr)
        except ValueError as error:
            raise ConfigError(f"clusterCidr: {error}") from error
        bits = mask_size - self._cluster.prefixlen
        if bits < 1 or mask_size > self._cluster.max_prefixlen:
            raise ConfigError(f"nodeCidrMaskSize: /{mask_size} blocks cannot be cut from {cluster_cidr}")
        self._mask_size = mask_size
        self._count = 1 << bits
        self._taken: set[int] = {0}
        self._next = 1

    def take(self, cidr: str) -> None:
        """Mark every block that a network touches; networks outside the cluster's touch none."""
        for index in self._touched(cidr):
            self._taken.add(index)

    def give_back(self, cidr: str) -> None:
        """A node is gone; its block is free again."""
        for index in self._touched(cidr):
            self._taken.discard(index)
            self._taken.add(0)

    def allocate(self) -> str | None:
        """A free block, used longest ago if possible; None if none is left."""
        for step in range(self._count):
            index = (self._next + step) % self._count
            if index not in self._taken:
                self._taken.add(index)
                self._next = (index + 1) % self._count
                return self._block(index)
        return None

    def _block(self, index: int) -> str:
        shift = self._cluster.max_prefixlen - self._mask_size
        address = ipaddress.ip_address(int(self._cluster.network_address) + (index << shift))
        return f"{address}/{self._mask_size}"

    def _touched(self, cidr: str) -> Iterable[int]:
        try:
            network = ipaddress.ip_network(cidr, strict=False)
        except ValueError:
            return ()
        if network.version != self._cluster.version or not network.overlaps(self._cluster):
            return ()
        shift = self._cluster.max_prefixlen - self._mask_size
        base = int(self._cluster.network_address)
        first = max(0, (int(network.network_address) - base) >> shift)
        last = min(self._count - 1, (int(network.broadcast_address) - base) >> shift)
        return range(first, last + 1)
