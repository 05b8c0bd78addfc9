"""How clients are held back that do not wait, do not read, or come in too great numbers."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import pytest

from k8slite.apiserver.wire.body import LIMIT, Bodies
from k8slite.apiserver.wire.pieces import LARGE, SMALL, Pieces
from k8slite.apiserver.wire.restraint import FIRST, LONGEST, PATIENCE, Restraint
from k8slite.apiserver.wire.unsent import Unsent
from k8slite.doorway import superfluous
from k8slite.errors import ApiError

# Restraint


def test_a_first_refusal_and_one_after_a_second_are_followed_by_no_pause() -> None:
    restraint = Restraint()
    assert restraint.refused(1, now=0.0) == 0
    assert restraint.refused(2, now=PATIENCE) == 0


def test_pauses_grow_while_nobody_waits() -> None:
    restraint = Restraint()
    now, pauses = 0.0, []
    for number in range(1, 8):
        pauses.append(restraint.refused(number, now=now))
        now += pauses[-1] + 0.001
    assert pauses[:3] == [0, FIRST, 2 * FIRST]
    assert pauses[-1] == LONGEST


def test_a_request_that_is_served_ends_the_pauses() -> None:
    restraint = Restraint()
    restraint.refused(1, now=0.0)
    assert restraint.refused(2, now=0.1) == FIRST
    assert restraint.refused(4, now=0.3) == 0  # the third was served


# Unsent


@dataclass(eq=False)
class Connection:
    """What `Unsent` and the doorway know of a connection."""

    unsent: int = 0
    owner: str = ""
    busy: bool = False
    aborted: bool = False

    def unread(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True


async def test_who_holds_most_goes_when_all_hold_too_much() -> None:
    unsent = Unsent(budget=100)
    small, large, newest = Connection(30), Connection(60), Connection(20)
    for connection in (small, large):
        unsent.add(connection)
    assert unsent.held == 90
    unsent.add(newest)
    assert [connection.aborted for connection in (small, large, newest)] == [False, True, False]
    assert unsent.held == 50
    for connection in (small, large, newest):
        unsent.remove(connection)
    assert unsent.held == 0


async def test_a_client_that_reads_nothing_is_left() -> None:
    unsent = Unsent(patience=0.01)
    still, moving = Connection(10), Connection(10_000)
    unsent.add(still)
    unsent.add(moving)
    async with asyncio.timeout(20):
        while not still.aborted:
            moving.unsent -= 1
            await asyncio.sleep(0.001)
    assert not moving.aborted
    unsent.remove(moving)


# Doorway


def test_strangers_push_strangers_out() -> None:
    guests = [Connection(owner="alice"), *(Connection() for _ in range(3)), Connection(owner="bob")]
    assert {guest.owner for guest in superfluous(guests, count=2)} == {""}


def test_a_tenant_pushes_out_its_own_idle_ones_first() -> None:
    idle = [Connection(owner="tenant") for _ in range(2)]
    busy = [Connection(owner="tenant", busy=True) for _ in range(3)]
    others = [Connection(owner=f"user-{number}") for number in range(4)]
    assert superfluous([*busy, *others, *idle], count=2) == idle
    assert superfluous([], count=2) == []


# Pieces of long answers


def test_only_so_many_connections_write_large_pieces_until_they_are_gone() -> None:
    pieces, (first, second, third) = Pieces(roomy=2), "abc"
    assert [pieces.size(connection) for connection in (first, second, third, first)] == [LARGE, LARGE, SMALL, LARGE]
    pieces.remove(third)
    assert pieces.size(third) == SMALL
    pieces.remove(first)
    assert [pieces.size(connection) for connection in (third, first, second)] == [LARGE, SMALL, LARGE]


# Bodies


class Coming:
    """A body that comes piece by piece, when the test says so."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()

    async def receive(self) -> MutableMapping[str, Any]:
        body, more = await self.pieces.get()
        return {"type": "http.request", "body": body, "more_body": more}


async def test_what_is_on_its_way_is_counted_and_bounded() -> None:
    bodies = Bodies(budget=100)
    first, second = Coming(), Coming()
    reading = asyncio.create_task(bodies.read(first.receive, {}))
    first.pieces.put_nowait((b"x" * 80, True))
    for _ in range(10):  # turns of the loop in which the reader takes what is there
        await asyncio.sleep(0)
    assert bodies.held == 80
    second.pieces.put_nowait((b"y" * 30, True))
    with pytest.raises(ApiError) as refused:
        await bodies.read(second.receive, {})
    assert (refused.value.code, refused.value.retry_after) == (429, 1.0)
    first.pieces.put_nowait((b"x", False))
    assert await reading == b"x" * 81
    assert bodies.held == 0


async def test_a_body_is_bounded_to_the_byte() -> None:
    bodies, coming = Bodies(), Coming()
    coming.pieces.put_nowait((b"x" * LIMIT, False))
    assert len(await bodies.read(coming.receive, {})) == LIMIT
    coming.pieces.put_nowait((b"x" * (LIMIT + 1), False))
    with pytest.raises(ApiError) as refused:
        await bodies.read(coming.receive, {})
    assert refused.value.code == 413
    assert bodies.held == 0
