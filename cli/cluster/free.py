"""Choosing what is free on this machine: ports, address ranges, a bridge name.

Ranges are claimed in a directory of the machine's, so that clusters that come up at the same time, or live in different
homes, never share a bridge.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
from collections.abc import Container, Iterable
from pathlib import Path

Network = ipaddress.IPv4Network


def port(preferred: int, *, count: int = 1) -> int:
    """The first of `count` free TCP ports in a row, on every address: the preferred ones, or others."""
    candidates: list[int] = [preferred, *range(20000, 60000, 100)]
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


def ranges(taken: Iterable[Network], *, claimed: Container[int] = ()) -> tuple[int, Network, Network]:
    """The first free pair of /16 ranges: its index, the pods' 10.42+index and the services' 10.96+index."""
    taken = list(taken)
    for index in range(50):
        pods, services = Network(f"10.{42 + index}.0.0/16"), Network(f"10.{96 + index}.0.0/16")
        if index not in claimed and not any(n.overlaps(pods) or n.overlaps(services) for n in taken):
            return index, pods, services
    raise OSError("no free address range for pods and services on this machine")


CLAIMS = Path("/var/lib/k8slite/claims")


def claim_ranges(owner: Path, taken: Iterable[Network], *, claims: Path = CLAIMS) -> tuple[int, Network, Network]:
    """Choose ranges for the cluster whose directory is `owner`, and keep others off them while it exists."""
    claims.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (claims / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = ranges(taken, claimed=_claimed(claims, owner))
        (claims / str(found[0])).write_text(str(owner))
    return found


def _claimed(claims: Path, owner: Path) -> set[int]:
    """The indexes whose claimant still exists, other than `owner` itself."""
    files = [file for file in claims.iterdir() if file.name.isdigit()]
    return {int(file.name) for file in files if (named := Path(file.read_text())) != owner and named.exists()}


def release(owner: Path, *, claims: Path = CLAIMS) -> None:
    """Give up what a cluster claimed."""
    for file in claims.glob("[0-9]*"):
        if file.read_text() == str(owner):
            file.unlink()
