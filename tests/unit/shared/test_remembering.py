"""Answers that are kept, and those that are too large for it."""

from __future__ import annotations

from k8slite.remembering import LONGEST, Recent, remembered


def test_short_texts_are_answered_once_and_long_ones_each_time() -> None:
    asked: list[tuple[str | bytes | int, bool]] = []

    @remembered(2)
    def length(key: str | bytes | int, *, loud: bool = False) -> int:
        asked.append((key, loud))
        return len(str(key))

    long = "x" * (LONGEST + 1)
    for key in ("a", long, b"a", 7):
        assert length(key) == length(key) == len(str(key))
    assert asked == [("a", False), (long, False), (long, False), (b"a", False), (7, False)]
    assert length(7, loud=True) == 1
    assert asked[-1] == (7, True)
    length("a")
    assert asked[-1] == ("a", False)


def test_functions_of_a_key_alone_keep_it_too() -> None:
    asked: list[str] = []

    @remembered(2)
    def shouted(key: str) -> str:
        asked.append(key)
        return key.upper()

    short, long = "a", "b" * (LONGEST + 1)
    for _ in range(2):
        assert shouted(short) == "A"
        assert shouted(long) == long.upper()
    assert asked == [short, long, long]


def test_the_oldest_of_what_is_kept_makes_room() -> None:
    recent: Recent[str, int] = Recent(2)
    for number, key in enumerate("abc"):
        recent.keep(key, number)
    assert dict(recent) == {"b": 1, "c": 2}
