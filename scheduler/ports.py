"""Host ports taken, by port rather than by node: few pods take any, and a check visits only the nodes where one is."""

from __future__ import annotations

from collections.abc import Iterable

from .shape import HostPort


class PortColumns:
    """Which rows have which ports taken, and how often."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, int], dict[int, dict[str, int]]] = {}

    def account(self, row: int, ports: Iterable[HostPort], sign: int) -> None:
        """A pod with these ports comes (1) or goes (-1)."""
        for port in ports:
            rows = self._taken.setdefault((port.protocol, port.port), {})
            addresses = rows.setdefault(row, {})
            count = addresses.get(port.address, 0) + sign
            if count:
                addresses[port.address] = count
                continue
            del addresses[port.address]
            if not addresses:
                del rows[row]
            if not rows:
                del self._taken[port.protocol, port.port]

    def conflicts(self, ports: Iterable[HostPort]) -> set[int]:
        """The rows where one of the ports is taken."""
        return {
            row
            for port in ports
            for row, addresses in self._taken.get((port.protocol, port.port), {}).items()
            if any(map(port.conflicts, addresses))
        }
