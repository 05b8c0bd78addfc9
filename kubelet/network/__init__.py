"""The pod network of one machine: a bridge, a veth pair and an address for each pod.

Docker gives a sandbox an empty network namespace (`network_mode=none`); this package fills it. It knows pods only by
their UID and the process that holds their namespace; which address a pod gets is decided by `AddressPool`, which is
pure, and carried out by `BridgeNetwork`, which talks netlink.
"""

from .addresses import AddressPool, AddressPoolExhausted
from .base import NetworkError, PodNetwork
from .bridge import BridgeNetwork

__all__ = ["AddressPool", "AddressPoolExhausted", "BridgeNetwork", "NetworkError", "PodNetwork"]
