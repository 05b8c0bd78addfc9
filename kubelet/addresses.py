"""Which pod of a node has which address: given once, kept as long as the sandbox runs, rebuilt from what runs."""

from __future__ import annotations

from collections.abc import Mapping

from .network import AddressPool


class PodAddresses:
    """The addresses of one node's pods; without a pod CIDR none can be given."""

    def __init__(self) -> None:
        self._pool: AddressPool | None = None
        self._given: dict[str, str] = {}

    def configure(self, cidr: str, *, used: Mapping[str, str]) -> None:
        """The node got its pod CIDR; `used` are addresses by the UID of pods that run already."""
        self._given |= {uid: address for uid, address in used.items() if address}
        self._pool = AddressPool(cidr, self._given.values())

    @property
    def ready(self) -> bool:
        """Whether addresses can be given."""
        return self._pool is not None

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
