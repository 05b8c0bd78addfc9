"""Writes that the informer does not show yet."""

from __future__ import annotations

from k8slite.kinds.base import Object, ObjectMeta
from k8slite.kubelet.simulated.seen import Awaited

ANSWER = b'{"metadata":{"name":"a","resourceVersion":"7"}}'


def shown(revision: str) -> Object:
    return Object(metadata=ObjectMeta(name="a", resource_version=revision))


def test_an_object_lags_until_what_was_written_is_shown() -> None:
    awaited = Awaited()
    awaited.wrote("a", ANSWER, shown=shown("5"))
    assert awaited.lags("a", "6")
    assert not awaited.lags("a", "7")
    assert not awaited.lags("a", "6")
    assert len(awaited) == 0


def test_nothing_is_kept_of_what_is_shown_already_or_gone_before_the_answer() -> None:
    awaited = Awaited()
    awaited.wrote("a", ANSWER, shown=shown("8"))
    awaited.wrote("a", ANSWER, shown=None)
    assert len(awaited) == 0


def test_what_is_gone_is_forgotten() -> None:
    awaited = Awaited()
    awaited.wrote("b", b'{"metadata": {"resourceVersion": "9"}}', shown=shown("1"))
    assert awaited.lags("b", "8")
    awaited.forget("b")
    assert not awaited.lags("b", "8")
