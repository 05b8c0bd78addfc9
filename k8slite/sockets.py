"""Sockets: bound before their address exists, as the pods' bridge comes up after its servers; and kept alive."""

from __future__ import annotations

import ipaddress
import socket

_IP_FREEBIND = 15
_IPV6_FREEBIND = 78


def keep_alive(opened: socket.socket) -> None:
    """Let the kernel notice within half a minute that the peer of a silent connection is gone.

    Set on a listening socket it holds for the connections that it accepts.
    """
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def client_options(opened: socket.socket) -> None:
    """What a connection to a server needs: small requests at once, and to hear soon of a server that is gone."""
    # The event loop would set this only for sockets that name their protocol; without it every request takes 40 ms.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    keep_alive(opened)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)


def bind(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A non-blocking socket bound to an IP address (port 0: any free one), not listening yet. Raises OSError."""
    ipv6 = ipaddress.ip_address(address).version == 6
    # asyncio turns Nagle's algorithm off only where the protocol is named: else each answer waits 40 ms for an ACK.
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else 0
    bound = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, kind, protocol)
    try:
        bound.setblocking(False)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keep_alive(bound)
        bound.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        if ipv6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on {address} port {port}: {error.strerror}") from error
    return bound
