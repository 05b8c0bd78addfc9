"""Which address a new pod gets: pure bookkeeping over a node's pod CIDR.

The pool keeps nothing on disk: after a restart the kubelet reads the addresses in use from the labels of the sandboxes
that run, and hands them in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class AddressPoolExhausted(Exception):
    """Every address of the pod CIDR is in use."""


class AddressPool:
    """Addresses of one CIDR of either family.

    Invariants: an address is never handed out twice without a release in between; the network and the broadcast address
    of an IPv4 CIDR are never handed out. Search goes on behind the last address handed out (next fit), so that an
    address just released rests as long as possible and late packets to its former pod meet no other.
    """

    def __init__(self, cidr: str, used: Iterable[str] = ()) -> None:
        self._network = ipaddress.ip_network(cidr)
        self._first = int(self._network.network_address)
        self._last = int(self._network.broadcast_address)
        if self._network.num_addresses > 2:
            self._first += 1
            self._last -= self._network.version == 4
        self._used = {int(ipaddress.ip_address(address)) for address in used}
        inside = [number for number in self._used if self._first <= number <= self._last]
        self._next = max(inside) + 1 if inside else self._first

    def __contains__(self, address: str) -> bool:
        return int(ipaddress.ip_address(address)) in self._used

    def allocate(self) -> str:
        """An address that nobody has. Raises AddressPoolExhausted."""
        size = self._last - self._first + 1
        offset = self._next - self._first
        # Among the first len(used) + 1 candidates one is free, unless there are not that many.
        for step in range(min(size, len(self._used) + 1)):
            number = self._first + (offset + step) % size
            if number not in self._used:
                self._used.add(number)
                self._next = number + 1
                return str(self._network.network_address + (number - int(self._network.network_address)))
        raise AddressPoolExhausted(f"no free address in {self._network}")

    def release(self, address: str) -> None:
        """Take an address back; one that was not handed out is ignored."""
        self._used.discard(int(ipaddress.ip_address(address)))
