"""Merging plugin sets with the defaults and expanding multiPoint, case by case as kube-scheduler does it."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.scheduler.configuration.plugin_sets import (
    Entry,
    Misplaced,
    PluginSet,
    merge,
    merged,
    placed,
    weights,
)
from k8slite.scheduler.profile import Point

ALL = frozenset(Point) - {Point.PRE_ENQUEUE}
IMPLEMENTED: dict[str, frozenset[Point]] = {
    "all": ALL,
    "one": frozenset({Point.SCORE, Point.PRE_SCORE}),
    "two": frozenset({Point.SCORE}),
    "three": frozenset({Point.SCORE, Point.FILTER}),
    "sort": frozenset({Point.QUEUE_SORT}),
    "bind": frozenset({Point.BIND}),
}


def extends(name: str, point: Point) -> bool:
    return point in IMPLEMENTED[name]


def plugin_set(*enabled: str, disabled: str = "") -> PluginSet:
    """`name` or `name=weight`."""
    entries = []
    for text in enabled:
        name, _, weight = text.partition("=")
        entries.append(Entry(name, int(weight) if weight else None, f"at {name}"))
    return PluginSet(tuple(entries), frozenset(disabled.split()))


DEFAULT = plugin_set("one", "two", "three")
MERGED: dict[str, tuple[PluginSet, PluginSet, PluginSet]] = {
    "nothing said": (DEFAULT, plugin_set(), DEFAULT),
    "one more": (DEFAULT, plugin_set("mine"), plugin_set("one", "two", "three", "mine")),
    "before a default plugin that is disabled and enabled again": (
        DEFAULT,
        plugin_set("mine", "three", disabled="three"),
        plugin_set("one", "two", "mine", "three", disabled="three"),
    ),
    "before all": (DEFAULT, plugin_set("mine", "one", disabled="*"), plugin_set("mine", "one", disabled="*")),
    "another order": (DEFAULT, plugin_set("two", "one", disabled="*"), plugin_set("two", "one", disabled="*")),
    "other weights keep the default's order": (
        DEFAULT,
        plugin_set("three=3", "one=2"),
        plugin_set("one=2", "two", "three=3"),
    ),
    "repeated: the last replaces, the others are added": (
        DEFAULT,
        plugin_set("one", "two=2", "three", "two=4"),
        plugin_set("one", "two=4", "three", "two=2"),
    ),
    "disabled": (DEFAULT, plugin_set(disabled="two"), plugin_set("one", "three", disabled="two")),
    "disabled by default, and more": (
        plugin_set("one", disabled="two"),
        plugin_set("mine"),
        plugin_set("one", "mine", disabled="two"),
    ),
    "all disabled": (DEFAULT, plugin_set(disabled="*"), plugin_set(disabled="*")),
    "an unknown one disabled": (DEFAULT, plugin_set(disabled="x"), plugin_set("one", "two", "three", disabled="x")),
}


@pytest.mark.parametrize("name", MERGED)
def test_merging(name: str) -> None:
    default, custom, expected = MERGED[name]
    assert merged(default, custom) == expected


def test_merging_keeps_points_apart() -> None:
    found = merge({"multiPoint": DEFAULT}, {"score": plugin_set(disabled="one"), "multiPoint": plugin_set("mine")})
    assert found["multiPoint"] == plugin_set("one", "two", "three", "mine")
    assert found["score"] == plugin_set(disabled="one")


EVERYWHERE = {point: ["all"] for point in ALL}
SORT, BIND = {Point.QUEUE_SORT: ["sort"]}, {Point.BIND: ["bind"]}
PLACED: dict[str, tuple[dict[str, PluginSet], dict[Point, list[str]]]] = {
    "one plugin wherever it can stand": ({"multiPoint": plugin_set("all")}, EVERYWHERE),
    "several, in order": (
        {"multiPoint": plugin_set("all", "one", "two")},
        EVERYWHERE | {Point.SCORE: ["all", "one", "two"], Point.PRE_SCORE: ["all", "one"]},
    ),
    "a point without multiPoint": (
        {"multiPoint": plugin_set("all", "one"), "preScore": plugin_set(disabled="*")},
        EVERYWHERE | {Point.SCORE: ["all", "one"], Point.PRE_SCORE: []},
    ),
    "a point without multiPoint but with its own": (
        {"multiPoint": plugin_set("all", "one"), "score": plugin_set("two", disabled="*")},
        EVERYWHERE | {Point.SCORE: ["two"], Point.PRE_SCORE: ["all", "one"]},
    ),
    "disabled at one point": (
        {"multiPoint": plugin_set("all", "three"), "filter": plugin_set(disabled="three")},
        EVERYWHERE | {Point.SCORE: ["all", "three"], Point.FILTER: ["all"]},
    ),
    "a point reorders what multiPoint names": (
        {"multiPoint": plugin_set("two", "all", "one"), "score": plugin_set("one", "all")},
        EVERYWHERE | {Point.SCORE: ["one", "all", "two"], Point.PRE_SCORE: ["all", "one"]},
    ),
    "what only the point names comes last": (
        {"multiPoint": plugin_set("all", "one"), "score": plugin_set("two", "one", "all")},
        EVERYWHERE | {Point.SCORE: ["one", "all", "two"], Point.PRE_SCORE: ["all", "one"]},
    ),
    "all of multiPoint disabled, some enabled": (
        {"multiPoint": plugin_set("sort", "bind", "one", disabled="*")},
        SORT | BIND | {Point.SCORE: ["one"], Point.PRE_SCORE: ["one"]},
    ),
    "enabled and disabled in multiPoint": (
        {"multiPoint": plugin_set("bind", "sort", "one", disabled="one")},
        SORT | BIND | {Point.SCORE: ["one"], Point.PRE_SCORE: ["one"]},
    ),
}


@pytest.mark.parametrize("name", PLACED)
def test_placing(name: str) -> None:
    sets, expected = PLACED[name]
    assert {point: list(names) for point, names in placed(sets, extends).items() if names} == {
        point: names for point, names in expected.items() if names
    }


REFUSED: list[tuple[dict[str, PluginSet], list[str]]] = [
    ({"multiPoint": plugin_set("two", "two")}, ['at two: plugin "two" already registered as "ScorePlugin"']),
    ({"score": plugin_set("two", "two")}, ['at two: plugin "two" already registered as "ScorePlugin"']),
    ({"filter": plugin_set("two")}, ['at two: plugin "two" does not extend FilterPlugin plugin']),
    ({"placementScore": plugin_set("two")}, ['at two: plugin "two" does not extend PlacementScorePlugin plugin']),
    (
        {"filter": plugin_set("two"), "bind": plugin_set("one")},
        [
            'at one: plugin "one" does not extend BindPlugin plugin',
            'at two: plugin "two" does not extend FilterPlugin plugin',
        ],
    ),
]


@pytest.mark.parametrize(("sets", "problems"), REFUSED)
def test_what_cannot_be_is_refused_all_at_once(sets: dict[str, PluginSet], problems: list[str]) -> None:
    with pytest.raises(Misplaced) as caught:
        placed(sets, extends)
    assert sorted(f"{field}: {message}" for field, message in caught.value.args) == problems


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ({"multiPoint": plugin_set("one", "two=5")}, {"two": 5}),
        ({"multiPoint": plugin_set("one=2", "two=5"), "score": plugin_set("two=7")}, {"one": 2, "two": 7}),
        ({"multiPoint": plugin_set("two=5"), "score": plugin_set("two")}, {}),
    ],
)
def test_weights(sets: dict[str, Any], expected: dict[str, int]) -> None:
    assert weights(sets, ["one", "two"]) == expected
