"""What the kernel tells of removed tables, and whatever else may stand in a datagram."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from k8slite.proxy.services.removal import names


def message(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    body = b"\x02\0\0\0"
    for number, value in attributes:
        body += struct.pack("=HH", len(value) + 4, number) + value + b"\0" * (-len(value) % 4)
    return struct.pack("=IHHII", len(body) + 16, kind, 0, 0, 0) + body


def test_a_removed_table_is_named_among_other_changes():
    added = message(10 << 8, (1, b"other\0"))
    removed = message((10 << 8) | 2, (2, b"\0\0\0\0"), (1, b"k8slite\0"))
    assert list(names(added + removed + added)) == ["k8slite"]


@given(st.binary(max_size=80))
def test_junk_ends(junk: bytes):
    list(names(junk))
    list(names(message((10 << 8) | 2) + junk))
