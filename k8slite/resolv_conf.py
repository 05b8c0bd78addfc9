"""Which file names the machine's real name servers.

Where systemd-resolved runs, /etc/resolv.conf names only its stub on a loopback address, which no pod can reach and
which may lead a cluster's DNS back to itself. The real servers stand in a file of its own. Source: Kubernetes
documentation, "Debugging DNS Resolution", known issues.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

RESOLVED = Path("/run/systemd/resolve/resolv.conf")
"""systemd-resolved's own file."""
_STUBS = frozenset(("127.0.0.53", "127.0.0.54"))


def name_servers(text: str) -> list[str]:
    """The addresses that a resolv.conf names, as they stand there."""
    words = [line.split() for line in text.splitlines()]
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]


def effective(path: Path) -> Path:
    """`path`, or systemd-resolved's file if `path` names only its stub."""
    try:
        servers = name_servers(path.read_text())
    except OSError:
        return path
    return RESOLVED if servers and _STUBS.issuperset(servers) and RESOLVED.exists() else path


def is_loopback(address: str) -> bool:
    """Whether an address means the machine itself, which from a pod is another one."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
