"""Cutting pod networks for nodes out of the cluster's, one of each family.

The first block of a network is given to no node: the address of the pod bridge lies in it.

Source: Kubernetes documentation, kube-controller-manager `--cluster-cidr`, `--node-cidr-mask-size*`; its node IPAM
controller.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence

from k8slite.config import ConfigError, ControllerManagerConfig

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Blocks:
    """The blocks of one size in one network, and how often each of them is taken."""

    def __init__(self, cluster_cidr: str, mask_size: int) -> None:
        self._cluster = _network("clusterCidr", cluster_cidr)
        bits = mask_size - self._cluster.prefixlen
        if bits < 1 or mask_size > self._cluster.max_prefixlen:
            raise ConfigError(f"nodeCidrMaskSize: /{mask_size} blocks cannot be cut from {cluster_cidr}")
        self._mask_size = mask_size
        self._count = 1 << bits
        self._taken: Counter[int] = Counter({0: 1})
        self._next = 1

    def take(self, cidr: str) -> None:
        """Count every block that a network touches as taken; networks outside the cluster's touch none."""
        self._taken.update(self._touched(cidr))

    def give_back(self, cidr: str) -> None:
        """What was taken or allocated once is so no more."""
        for index in self._touched(cidr):
            self._taken[index] -= 1
            if self._taken[index] <= 0:
                del self._taken[index]

    def allocate(self) -> str | None:
        """A free block, used longest ago if possible; None if none is left."""
        if len(self._taken) >= self._count:
            return None
        for step in range(self._count):
            index = (self._next + step) % self._count
            if index not in self._taken:
                self._taken[index] = 1
                self._next = (index + 1) % self._count
                return self._block(index)
        return None

    def _block(self, index: int) -> str:
        shift = self._cluster.max_prefixlen - self._mask_size
        address = type(self._cluster.network_address)(int(self._cluster.network_address) + (index << shift))
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


class Ranges:
    """Every network of the cluster, and what each node holds of them.

    A node's part stays its own until the node is gone or has another, also while nobody knows whether it was written.
    """

    def __init__(self, blocks: Sequence[Blocks]) -> None:
        self._blocks = blocks
        self._held: dict[str, tuple[str, ...]] = {}

    def reserve(self, cidr: str) -> None:
        """No node is given a part of this network."""
        for blocks in self._blocks:
            blocks.take(cidr)

    def holds(self, node: str, cidrs: Sequence[str]) -> None:
        """The node has these, whoever gave them."""
        if self._held.get(node) == tuple(cidrs):
            return
        self.release(node)
        for cidr in cidrs:
            self.reserve(cidr)
        self._held[node] = tuple(cidrs)

    def allocate(self, node: str) -> tuple[str, ...] | None:
        """A block of each network for the node, always the same until they are released; None if there are none."""
        if node in self._held:
            return self._held[node]
        given: list[str] = []
        for blocks in self._blocks:
            block = blocks.allocate()
            if block is None:
                for each in given:
                    self._give_back(each)
                return None
            given.append(block)
        self._held[node] = tuple(given)
        return self._held[node]

    def release(self, node: str) -> bool:
        """The node is gone, or was refused what it was to have; whether something is free now."""
        held = self._held.pop(node, ())
        for cidr in held:
            self._give_back(cidr)
        return bool(held)

    def held(self, node: str) -> tuple[str, ...] | None:
        """What the node has, or may have."""
        return self._held.get(node)

    def _give_back(self, cidr: str) -> None:
        for blocks in self._blocks:
            blocks.give_back(cidr)


def ranges(config: ControllerManagerConfig) -> Ranges:
    """What the settings say, the networks of Services left out. Raises ConfigError."""
    cidrs = _listed(config.cluster_cidr)
    networks = [_network("clusterCidr", cidr) for cidr in cidrs]
    if not cidrs:
        raise ConfigError("clusterCidr: it must be set to allocate pod networks")
    if len(cidrs) > 1 and (len(cidrs) > 2 or networks[0].version == networks[1].version):
        raise ConfigError(f"clusterCidr: {config.cluster_cidr} is more than one network of each family")
    if len(cidrs) > 1 and config.node_cidr_mask_size:
        raise ConfigError("nodeCidrMaskSize: with two families, nodeCidrMaskSizeIpv4 and nodeCidrMaskSizeIpv6 say it")
    sizes = {4: config.node_cidr_mask_size_ipv4, 6: config.node_cidr_mask_size_ipv6}
    made = Ranges(
        [
            Blocks(cidr, config.node_cidr_mask_size or sizes[network.version])
            for cidr, network in zip(cidrs, networks, strict=True)
        ]
    )
    for services in _listed(config.service_cluster_ip_range):
        _network("serviceClusterIpRange", services)
        made.reserve(services)
    return made


def _listed(text: str) -> list[str]:
    return [part for item in text.split(",") if (part := item.strip())]


def _network(setting: str, cidr: str) -> Network:
    try:
        return ipaddress.ip_network(cidr)
    except ValueError as error:
        raise ConfigError(f"{setting}: {error}") from error
