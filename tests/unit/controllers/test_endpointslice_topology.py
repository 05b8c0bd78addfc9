from __future__ import annotations

from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from k8slite.controllers.endpointslice.topology import automatic, zone_ratios
from k8slite.kinds.core import Node

from .builders import pod, service
from .test_endpointslice_plan import World, counts


def auto(mode="Auto", old=None):
    annotations = {"service.kubernetes.io/topology-mode": mode}
    if old is not None:
        annotations["service.kubernetes.io/topology-aware-hints"] = old
    made = service()
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"annotations": annotations})})


def node(name, *, zone="a", cpu="4", ready="True", **labels):
    return Node.model_validate(
        {
            "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone, **labels}},
            "status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": ready}]},
        }
    )


def hinted(world):
    return Counter(z.name for e in world.endpoints() if e.hints for z in e.hints.for_zones)


def test_the_annotation_and_the_older_one():
    assert automatic(auto()) and automatic(auto("auto"))
    assert not automatic(service()) and not automatic(auto("Disabled"))
    assert not automatic(auto("Auto", old="Disabled"))


def test_shares_of_the_cpus():
    nodes = [node("1", zone="a", cpu="3"), node("2", zone="b", cpu="500m"), node("3", zone="b", cpu="500m")]
    assert zone_ratios(nodes) == {"a": 0.75, "b": 0.25}
    assert zone_ratios(nodes[:1]) is None
    assert zone_ratios([*nodes, node("4", zone="")]) is None
    assert zone_ratios([*nodes, node("4", cpu="0")]) is None
    away = [node("4", zone="", ready="False"), node("5", zone="", **{"node-role.kubernetes.io/control-plane": ""})]
    assert zone_ratios([*nodes, *away]) == {"a": 0.75, "b": 0.25}


def spread(per_zone, ready=True):
    return [
        pod(f"{zone}{n}", ip=f"10.0.{ord(zone)}.{n + 1}", node=f"n-{zone}", ready=ready)
        for zone, count in per_zone.items()
        for n in range(count)
    ]


ZONES = {"n-a": "a", "n-b": "b", "n-c": "c", "n-none": ""}


def test_each_zone_keeps_its_own_where_they_are_fairly_spread():
    world = World(zones=ZONES, ratios={"a": 0.5, "b": 0.5})
    decided = world.sync(auto(), spread({"a": 5, "b": 5}))
    assert [notice.reason for notice in decided.notices] == ["TopologyAwareHintsEnabled"]
    assert all(e.hints.for_zones[0].name == e.zone for e in world.endpoints())
    again = world.sync(auto(), spread({"a": 5, "b": 5}))
    assert counts(again) == (0, 0, 0) and not again.notices


def test_a_zone_with_too_few_gets_some_of_another():
    world = World(zones=ZONES, ratios={"a": 0.5, "b": 0.5})
    world.sync(auto(), spread({"a": 8, "b": 2}))
    assert hinted(world) == {"a": 5, "b": 5}


def test_why_there_are_no_hints():
    def message(pods, ratios):
        world = World(zones=ZONES, ratios=ratios)
        decided = world.sync(auto(), pods)
        assert not hinted(world)
        [notice] = decided.notices
        assert (notice.type, notice.reason) == ("Warning", "TopologyAwareHintsDisabled")
        return notice.message

    half = {"a": 0.5, "b": 0.5}
    assert message(spread({"a": 1}), half).startswith("Insufficient number of endpoints (1 endpoints, 2 zones)")
    assert message(spread({"a": 4}), None).startswith("Insufficient Node information")
    assert message([*spread({"a": 3}), pod(node="n-none", ip="10.9.9.9")], half).startswith("One or more endpoints")
    tight = {"a": 0.7, "b": 0.15, "c": 0.15}
    assert message(spread({"a": 1, "b": 1, "c": 1}), tight).startswith("Unable to allocate minimum required endpoints")


def test_hints_go_when_the_annotation_does():
    world = World(zones=ZONES, ratios={"a": 0.5, "b": 0.5})
    pods = spread({"a": 5, "b": 5})
    world.sync(auto(), pods)
    decided = world.sync(service(), pods, was_automatic=True)
    assert not hinted(world)
    assert [notice.message for notice in decided.notices] == [
        "Topology Aware Hints has been disabled, addressType: IPv4"
    ]


def test_endpoints_in_a_zone_without_a_share_end_nothing():
    world = World(zones=ZONES, ratios={"a": 0.5, "b": 0.5})
    for per_zone in ({"a": 1, "c": 5}, {"a": 2, "b": 2, "c": 9}, {"c": 4}):
        world.sync(auto(), spread(per_zone))
        assert sum(hinted(world).values()) in (0, sum(per_zone.values()))


@settings(max_examples=100, deadline=None)
@example([{"a": 22, "b": 0, "c": 0}, {"a": 21, "b": 36, "c": 60}, {"a": 0, "b": 36, "c": 17}], (2, 2, 5), 100)
@given(
    st.lists(st.fixed_dictionaries({zone: st.integers(0, 60) for zone in "abc"}), min_size=1, max_size=4),
    st.tuples(*(st.integers(1, 64) for _ in "abc")),
    st.sampled_from([10, 100]),
)
def test_no_zone_has_more_than_it_may_and_all_ready_endpoints_are_hinted_or_none(rounds, cpus, limit):
    ratios = {zone: cpu / sum(cpus) for zone, cpu in zip("abc", cpus, strict=True)}
    world = World(zones=ZONES, ratios=ratios, limit=limit)
    for per_zone in rounds:
        pods = [*spread(per_zone), *[pod("starting", ready=False, node="n-a", ip="10.9.9.9")]]
        decided = world.sync(auto(), pods)
        total = sum(per_zone.values())
        found = hinted(world)
        if any(notice.type == "Warning" for notice in decided.notices):
            assert not found
        else:
            assert sum(found.values()) == total >= 3
            for zone, ratio in ratios.items():
                assert found[zone] >= ratio * total / 1.2 - 1e-9  # no endpoint gets a fifth too much
        assert all(e.hints is None for e in world.endpoints() if not e.ready)
        assert counts(world.sync(auto(), pods)) == (0, 0, 0)
