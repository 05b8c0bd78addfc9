"""Hears of nftables tables that somebody removes (`nft flush ruleset`, a firewall's restart): the kernel tells.

Source: Linux, nfnetlink.h and nf_tables.h: the group that is told of every change of nftables.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7
_DELTABLE = (10 << 8) | 2
_TABLE_NAME = 1
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_FAMILY_HEADER = 4
UNKNOWN = ""
"""There was more to hear than could be kept: any table may be gone."""


async def removed_tables() -> AsyncIterator[str]:
    """The name of each table that is removed, or `UNKNOWN`. Raises OSError where the kernel does not tell."""
    loop = asyncio.get_running_loop()
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)) as told:
        told.setblocking(False)
        told.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))
        heard = asyncio.Event()
        loop.add_reader(told, heard.set)
        try:
            while True:
                await heard.wait()
                heard.clear()
                for name in _read(told):
                    yield name
        finally:
            loop.remove_reader(told)


def _read(told: socket.socket) -> Iterator[str]:
    while True:
        try:
            yield from names(told.recv(1 << 16))
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            yield UNKNOWN


def names(messages: bytes) -> Iterator[str]:
    """The removed tables in a datagram of netlink messages."""
    position = 0
    while position + _HEADER.size <= len(messages):
        length, kind, *_ = _HEADER.unpack_from(messages, position)
        if length < _HEADER.size:
            return
        if kind == _DELTABLE:
            yield from _attribute(messages[position + _HEADER.size + _FAMILY_HEADER : position + length])
        position += (length + 3) & ~3


def _attribute(attributes: bytes) -> Iterator[str]:
    position = 0
    while position + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, position)
        if length < _ATTRIBUTE.size:
            return
        if kind == _TABLE_NAME:
            yield attributes[position + _ATTRIBUTE.size : position + length].rstrip(b"\0").decode(errors="replace")
        position += (length + 3) & ~3
