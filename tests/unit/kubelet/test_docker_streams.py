from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from k8slite.kubelet.runtime.docker_streams import Frames


def framed(number: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", number, len(payload)) + payload


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(min_value=1, max_value=30), min_size=1),
)
def test_streams_come_out_whole_and_apart_whatever_pieces_they_came_in(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(framed(number, payload) for number, payload in sent)
    frames, heard, position, turn = Frames(tty=False), {"stdout": b"", "stderr": b""}, 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        for item in frames.feed(stream[position : position + size]):
            assert item.data
            heard[item.stream] += item.data
        position, turn = position + size, turn + 1
    assert heard["stdout"] == b"".join(payload for number, payload in sent if number == 1)
    assert heard["stderr"] == b"".join(payload for number, payload in sent if number == 2)


def test_a_payload_is_passed_on_before_it_is_whole() -> None:
    frames = Frames(tty=False)
    whole = framed(2, b"x" * 100)
    assert [item.data for item in frames.feed(whole[:50])] == [b"x" * 42]
    assert [item.data for item in frames.feed(whole[50:])] == [b"x" * 58]


def test_a_terminal_has_no_frames() -> None:
    assert [item.data for item in Frames(tty=True).feed(b"\x01\x00raw")] == [b"\x01\x00raw"]
