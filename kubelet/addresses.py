"""Which pod of a node has which address: given once, kept as long as the sandbox runs, rebuilt from what runs."""

from __future__ import annotations

from collections.abc import Mapping

from .network import AddressPool


class PodAddresses:
    """The addresses of one node's pods; without a pod CIDR none can be given."""

    def __init__(self) -> None:
        self._cidr = ""
        self._pool: AddressPool | None = None
        self._given: dict[str, str] = {}

    def configure(self, cidr: str, *, used: Mapping[str, str]) -> None:
        """The node got its pod CIDR; `used` are addresses by the UID of pods that run already."""
        self._given |= {uid: address for uid, address in used.items() if address}
        self._cidr, self._pool = cidr, AddressPool(cidr, self._given.values())

    def move(self, cidr: str) -> None:
        """The node was registered anew and got another pod CIDR: who has an address keeps it."""
        if self._pool is not None and cidr not in ("", self._cidr):
            self.configure(cidr, used={})

    def give(self, uid: str) -> str:
        """The pod's address. Raises AddressPoolExhausted, or RuntimeError before `configure`."""
        if uid not in self._given:
            if self._pool is None:
                raise RuntimeError("the node has no pod CIDR yet")
            self._given[uid] = self._pool.allocate()
        return self._given[uid]

    def release(self, uid: str) -> None:
        """The pod needs no address any more."""
        address = self._given.pop(uid, None)
        if address is not None and self._pool is not None:
            self._pool.release(address)
