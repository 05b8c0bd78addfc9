"""Choosing what is free on this machine: ports, address ranges, a bridge name."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from pathlib import Path

Network = ipaddress.IPv4Network


def port(preferred: int, *, count: int = 1) -> int:
    """The first of `count` free TCP ports in a row, on every address: the preferred ones, or others."""
    candidates: list[int] = [preferred, *range(preferred + 1000, 60000, 100)]
    for start in candidates:
        if all(_is_free(start + offset) for offset in range(count)):
            return start
    raise OSError(f"no {count} free ports in a row on this machine")


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", number))
        except OSError:
            return False
    return True


def routed_networks(table: Path = Path("/proc/net/route")) -> list[Network]:
    """The IPv4 networks that this machine has routes to, the default route left out."""
    networks = []
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        if mask:
            networks.append(Network((destination, mask.bit_count())))
    return networks


def ranges(taken: Iterable[Network]) -> tuple[int, Network, Network]:
    """The first free pair of /16 ranges: its index, the pods' 10.42+index and the services' 10.96+index."""
    taken = list(taken)
    for index in range(50):
        pods, services = Network(f"10.{42 + index}.0.0/16"), Network(f"10.{96 + index}.0.0/16")
        if not any(network.overlaps(pods) or network.overlaps(services) for network in taken):
            return index, pods, services
    raise OSError("no free address range for pods and services; name one with --pod-cidr and --service-cidr")
