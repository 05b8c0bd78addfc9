"""The netlink work behind BridgeNetwork: synchronous, on one thread of its own.

One thread, because entering a pod's network namespace changes the thread that does it, and because links that are made
one after the other need no locks. pyroute2 is imported on that thread's first use: it costs 0.15 s and 20 MB, which a
simulated kubelet never pays.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .base import NetworkError

if TYPE_CHECKING:
    from pyroute2 import IPRoute

_CLONE_NEWNET = 0x40000000
POD_LINK = "eth0"


def host_link(pod_uid: str) -> str:
    """The name of the host's end of a pod's veth pair: the same after every restart, at most 15 characters."""
    return "veth" + hashlib.sha256(pod_uid.encode()).hexdigest()[:11]


def hardware_address(address: str) -> str:
    """A MAC derived from an address: whoever gets the address again answers to what neighbours have cached."""
    packed = ipaddress.ip_address(address).packed[-4:]
    return ":".join(f"{byte:02x}" for byte in (0x0A, 0x58, *packed))


def ensure_bridge(*, bridge: str, address: str, prefix: int) -> None:
    """Make the bridge, address it and bring it up; what is there already stays."""
    with _routes() as routes, _step(f"bridge {bridge}"):
        if (index := _index(routes, bridge)) is None:
            # A fixed hardware address: by default a bridge takes its ports' lowest, which changes as pods come and go.
            with _allow(errno.EEXIST):
                routes.link(
                    "add", ifname=bridge, kind="bridge", address=hardware_address(address), mtu=_uplink_mtu(routes)
                )
            index = _index(routes, bridge)
        with _allow(errno.EEXIST):
            routes.addr("add", index=index, address=address, prefixlen=prefix)
        routes.link("set", index=index, state="up")


def remove_link(name: str) -> None:
    """Delete a link; nothing happens if there is none."""
    with _routes() as routes, _step(f"remove {name}"):
        if (index := _index(routes, name)) is not None:
            with _allow(errno.ENODEV):
                routes.link("del", index=index)


def attach(*, bridge: str, gateway: str, prefix: int, pod_uid: str, pid: int, address: str) -> None:
    """Connect the namespace of `pid` to the bridge."""
    name = host_link(pod_uid)
    namespace = _namespace(pid)
    try:
        with _routes() as routes, _step(f"pod {pod_uid}"):
            master = _index(routes, bridge)
            if master is None:
                raise NetworkError(f"bridge {bridge} does not exist")
            if not _connected(routes, name, master, namespace, address):
                _connect(routes, name, master, namespace, address)
        with _inside(namespace), _routes() as routes, _step(f"address of pod {pod_uid}"):
            _configure(routes, address=address, prefix=prefix, gateway=gateway)
    finally:
        os.close(namespace)


def socket_in(pid: int, family: socket.AddressFamily) -> socket.socket:
    """A TCP socket in the network namespace of a process; it stays in it. Raises NetworkError."""
    namespace = _namespace(pid)
    try:
        with _inside(namespace):
            return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise NetworkError(f"socket for process {pid}: {error.strerror}") from error
    finally:
        os.close(namespace)


def _namespace(pid: int) -> int:
    try:
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetworkError(f"network namespace of process {pid}: {error.strerror}") from error


def _connected(routes: IPRoute, name: str, master: int, namespace: int, address: str) -> bool:
    """Whether the pair stands as `_connect` makes it: a port of the bridge whose peer is this namespace's eth0."""
    links: Any = ()
    if _index(routes, name) is not None:
        with _allow(errno.ENODEV):  # one of a former sandbox may go between the two questions
            links = routes.link("get", ifname=name)
    for link in links:
        if link.get("master") != master:
            return False
        with _inside(namespace), _routes() as inner:
            return any(
                peer["index"] == link.get("link") and peer.get("address") == hardware_address(address)
                for peer in inner.get_links()
                if peer.get("ifname") == POD_LINK
            )
    return False


def _connect(routes: IPRoute, name: str, master: int, namespace: int, address: str) -> None:
    # A pair of the same name belongs to a former sandbox, whose namespace the kernel has not finished removing.
    if (stale := _index(routes, name)) is not None:
        with _allow(errno.ENODEV):
            routes.link("del", index=stale)
    with _inside(namespace), _routes() as inner:
        if (leftover := _index(inner, POD_LINK)) is not None:
            inner.link("del", index=leftover)
    mtu = next(iter(routes.get_links(master))).get("mtu")
    peer = {"ifname": POD_LINK, "net_ns_fd": namespace, "address": hardware_address(address), "mtu": mtu}
    routes.link("add", ifname=name, kind="veth", mtu=mtu, master=master, peer=peer)
    index = _index(routes, name)
    # Hairpin: a pod that reaches itself through its own Service gets its packet back on the port it came from.
    routes.brport("set", index=index, mode=1)
    routes.link("set", index=index, state="up")


def _configure(routes: IPRoute, *, address: str, prefix: int, gateway: str) -> None:
    index = _index(routes, POD_LINK)
    with _allow(errno.EEXIST):
        routes.addr("add", index=index, address=address, prefixlen=prefix)
    for each in (_index(routes, "lo"), index):
        routes.link("set", index=each, state="up")
    with _allow(errno.EEXIST):
        routes.route("add", dst="default", gateway=gateway)


def _index(routes: IPRoute, name: str) -> int | None:
    found = routes.link_lookup(ifname=name)
    return int(found[0]) if found else None


def _uplink_mtu(routes: IPRoute) -> int:
    """The MTU of the default route's link, so that no pod packet is too big for the way out; 1500 without one."""
    for route in routes.get_default_routes(family=2):
        if (index := route.get("oif")) is not None:  # a route of several hops has none of its own
            return int(next(iter(routes.get_links(index))).get("mtu"))
    return 1500


@contextmanager
def _routes() -> Iterator[IPRoute]:
    from pyroute2 import IPRoute

    routes: Any = IPRoute()
    try:
        yield routes
    finally:
        routes.close()


@contextmanager
def _step(what: str) -> Iterator[None]:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        raise NetworkError(f"{what}: {os.strerror(error.code)}") from error
    except OSError as error:
        raise NetworkError(f"{what}: {error.strerror}") from error


@contextmanager
def _allow(code: int) -> Iterator[None]:
    """Take one kernel answer for success: what was asked for is so already."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        if error.code != code:
            raise


@contextmanager
def _inside(namespace: int) -> Iterator[None]:
    """Run this thread in another network namespace; sockets opened meanwhile stay in it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(namespace)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _setns(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
