"""The storage plugins say the same as their plain references, on random clusters."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.scheduler.columns import Columns
from k8slite.scheduler.framework import Handle, PodFilter
from k8slite.scheduler.plugins.volume_binding import VolumeBinding
from k8slite.scheduler.plugins.volume_limits import VolumeLimits
from k8slite.scheduler.plugins.volume_restrictions import VolumeRestrictions
from k8slite.scheduler.plugins.volume_zone import VolumeZone
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.storage.claims import claims_of
from k8slite.scheduler.storage.matching import match
from k8slite.scheduler.storage.rows import rows_of
from k8slite.scheduler.view import Pod

from .reference import volume_binding, volumes
from .storing import Document, World, show
from .worlds import pods, worlds

FOCUSES = ("", "bound", "local", "made")


def seen(world: World, *, halfway: int) -> tuple[Handle, Columns]:
    """A scheduler's view; its plugins were made when it had seen some of storage, as informers bring the rest."""
    to, columns = world.seen()
    for document in world.storage[:halfway]:
        show(to, document)
    rows_of(to)
    for document in world.storage[halfway:]:
        show(to, document)
    return to, columns


def verdicts(plugin: PodFilter, document: Document, columns: Columns) -> dict[str, Counter[str]]:
    """By node, what a filter has against it; all rows at once and each by itself must agree."""
    pod = Pod.model_validate(document)
    shape, rows = shape_of(pod), np.flatnonzero(columns.live)
    if not plugin.concerns_pod(pod):
        return {columns.names[row]: Counter() for row in rows}
    passed = plugin.filter_pod(pod, shape, columns, rows)
    found = {}
    for row, passes in zip(rows, passed, strict=True):
        one = np.array([row])
        assert plugin.filter_pod(pod, shape, columns, one)[0] == passes
        found[columns.names[row]] = Counter() if passes else plugin.explain_pod(pod, shape, columns, one)
        assert passes or found[columns.names[row]]
    failed = rows[~passed]
    if failed.size:
        assert plugin.explain_pod(pod, shape, columns, failed) == sum(found.values(), Counter())
    return found


def name_of(node: Document) -> str:
    return str(node["metadata"]["name"])


@settings(max_examples=100)
@given(st.one_of(*(worlds(placed=0, focus=focus) for focus in FOCUSES)), pods(inline=False), st.integers(0, 30))
def test_volume_binding(world: World, pod: Document, halfway: int) -> None:
    to, columns = seen(world, halfway=halfway)
    plugin, view = VolumeBinding(to, {}), Pod.model_validate(pod)
    rejected = volume_binding.rejected(pod, world)
    assert plugin.pre_filter(view, columns) == rejected
    if rejected:
        return
    found = {name_of(node): volume_binding.find(pod, node, world) for node in world.nodes}
    assert {name: set(reasons) for name, reasons in verdicts(plugin, pod, columns).items()} == {
        name: each.reasons for name, each in found.items()
    }
    claims = claims_of(view, rows_of(to).storage)
    assert not isinstance(claims, str)
    matching = match(claims, rows=rows_of(to), columns=columns)
    for name, each in found.items():
        if not each.reasons:
            got = matching.volumes_at(columns.rows[name])
            assert [(claim.name, volume.name) for claim, volume in got] == [
                (name_of(claim), name_of(volume)) for claim, volume in each.bindings
            ]
            made = [claim.name for claim in matching.provisions_at(columns.rows[name])]
            assert made == [name_of(claim) for claim, _ in each.provisions]


points = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 10)), min_size=1, max_size=4, unique_by=lambda point: point[0]
).map(sorted)


@settings(max_examples=50)
@given(st.one_of(*(worlds(placed=0, focus=focus) for focus in FOCUSES)), pods(inline=False), points)
def test_volume_binding_scores(world: World, pod: Document, shape: list[tuple[int, int]]) -> None:
    to, columns = seen(world, halfway=0)
    plugin = VolumeBinding(to, {"shape": [{"utilization": at, "score": score} for at, score in shape]})
    view = Pod.model_validate(pod)
    if not plugin.concerned(view, shape_of(view)) or plugin.pre_filter(view, columns):
        return
    scores = plugin.compare(view, shape_of(view), columns, columns.live)
    for node in world.nodes:
        found = volume_binding.find(pod, node, world)
        if not found.reasons:
            assert scores[columns.rows[name_of(node)]] == volume_binding.score(found, shape)


@settings(max_examples=50)
@given(worlds(), pods(), st.integers(0, 30))
def test_volume_restrictions(world: World, pod: Document, halfway: int) -> None:
    to, columns = seen(world, halfway=halfway)
    found = verdicts(VolumeRestrictions(to), pod, columns)
    expected = {name_of(node): volumes.restricted(pod, node, world) for node in world.nodes}
    assert {name: "".join(reasons) for name, reasons in found.items()} == expected


@settings(max_examples=50)
@given(worlds(placed=0, focus="bound"), pods(), st.integers(0, 30))
def test_volume_zone(world: World, pod: Document, halfway: int) -> None:
    to, columns = seen(world, halfway=halfway)
    plugin = VolumeZone(to)
    assert plugin.pre_filter(Pod.model_validate(pod), columns) == volumes.zone_unknown(pod, world)
    found = verdicts(plugin, pod, columns)
    assert {name: not reasons for name, reasons in found.items()} == {
        name_of(node): volumes.in_zone(pod, node, world) for node in world.nodes
    }


@settings(max_examples=50)
@given(worlds(placed=6, focus="bound"), pods(), st.integers(0, 30))
def test_volume_limits(world: World, pod: Document, halfway: int) -> None:
    to, columns = seen(world, halfway=halfway)
    view = Pod.model_validate(pod)
    if VolumeRestrictions(to).pre_filter(view, columns) or VolumeBinding(to, {}).pre_filter(view, columns):
        return
    found = verdicts(VolumeLimits(to), pod, columns)
    for node in world.nodes:
        (reason,) = found[name_of(node)] or ("",)
        assert reason.endswith(volumes.limited(pod, node, world))
        assert bool(reason) == bool(volumes.limited(pod, node, world))
