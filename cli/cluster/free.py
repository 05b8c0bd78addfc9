"""Choosing what is free on this machine: ports, address ranges, a bridge name.

Ranges are claimed in a directory of the machine's, so that clusters that come up at the same time, or live in different
homes, never share a bridge.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import socket
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

Network = ipaddress.IPv4Network


#: Where ports other than the preferred are looked for: below NodePorts (30000) and what the kernel gives to clients.
FALLBACKS = range(20000, 30000, 100)


def port(preferred: int, *, count: int = 1, taken: Container[int] = (), start: int = 0) -> int:
    """The first of `count` TCP ports in a row that are free on every address and not `taken`: the preferred, or others.

    `start` says which of the others is tried first: clusters that come up at the same time start at different ones.
    """
    others = [FALLBACKS[(start + offset) % len(FALLBACKS)] for offset in range(len(FALLBACKS))]
    for first in (preferred, *others):
        if all(number not in taken and _is_free(number) for number in range(first, first + count)):
            return first
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
    """The first free pair of /16 ranges: its index, the pods' 10.42+index and the services' 10.96+index.

    The range of its load balancers is free then too.
    """
    taken = list(taken)
    for index in range(50):
        pods, services = Network(f"10.{42 + index}.0.0/16"), Network(f"10.{96 + index}.0.0/16")
        ours = (pods, services, balancers(index))
        if index not in claimed and not any(network.overlaps(each) for network in taken for each in ours):
            return index, pods, services
    raise OSError("no free address range for pods and services on this machine")


def balancers(index: int) -> Network:
    """The range that goes with a pair of ranges, for the addresses of load balancers: 10.150+index."""
    return Network(f"10.{150 + index}.0.0/24")


CLAIMS = Path("/var/lib/k8slite/claims")


def claim_ranges(owner: Path, taken: Iterable[Network], *, claims: Path = CLAIMS) -> tuple[int, Network, Network]:
    """Choose ranges for the cluster whose directory is `owner`, and keep others off them while it exists.

    Raises OSError if a cluster of that name lives in another home: their containers could not be told apart.
    """
    with _locked(claims):
        for other in _owners(claims).values():
            if other != owner and other.name == owner.name and other.exists():
                raise OSError(f"this machine has a cluster {owner.name} already, in {other}; choose another --name")
        owner.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = ranges(taken, claimed=_claimed(claims, owner))
        (claims / str(found[0])).write_text(str(owner))
    return found


def release(owner: Path, *, claims: Path = CLAIMS) -> None:
    """Give up what a cluster claimed; the last one takes the directory of claims and its parent along."""
    if not claims.is_dir():
        return
    with _locked(claims):
        for file in _files(claims):
            if Path(named := file.read_text()) == owner or not Path(named).exists():
                file.unlink()
        if not _files(claims):
            (claims / "lock").unlink()
    with contextlib.suppress(OSError):  # not empty: somebody else's claims or clusters
        claims.rmdir()
        claims.parent.rmdir()


def _files(claims: Path) -> list[Path]:
    return [file for file in claims.iterdir() if file.name.isdigit()]


def _owners(claims: Path) -> dict[int, Path]:
    """The directories of the claimants, by index."""
    return {int(file.name): Path(file.read_text()) for file in _files(claims)}


def _claimed(claims: Path, owner: Path) -> set[int]:
    """The indexes whose claimant still exists, other than `owner` itself."""
    return {index for index, named in _owners(claims).items() if named != owner and named.exists()}


@contextlib.contextmanager
def _locked(claims: Path) -> Iterator[None]:
    """Alone with the claims. A lock that was removed while we waited for it guards nothing: then once more."""
    while True:
        claims.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.ExitStack() as stack, contextlib.suppress(FileNotFoundError):
            lock = stack.enter_context((claims / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(lock.fileno()), (claims / "lock").stat()):
                stack.pop_all()
                break
    with lock:
        yield
