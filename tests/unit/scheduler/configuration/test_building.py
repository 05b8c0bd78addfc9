"""From a KubeSchedulerConfiguration to profiles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from k8slite.config import ConfigError
from k8slite.scheduler.configuration.building import build_extenders, build_profiles
from k8slite.scheduler.configuration.reading import read_configuration
from k8slite.scheduler.cycle import Cycle, Placement
from k8slite.scheduler.node_by_node import NodeByNode
from k8slite.scheduler.plugins import REGISTRY
from k8slite.scheduler.plugins.points import POINTS
from k8slite.scheduler.profile import Point, Profile, implements
from k8slite.scheduler.shape import shape_of

from ..builders import columns, default_profile, handle, node, pod
from .packages import install

HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def build(directory: Path, body: str) -> Mapping[str, Profile]:
    file = directory / "scheduler.yaml"
    file.write_text(HEAD + body)
    return build_profiles(handle(), read_configuration(file))


def problems(directory: Path, body: str) -> list[str]:
    """Line and message of each; the body begins at line 3."""
    with pytest.raises(ConfigError) as caught:
        build(directory, body)
    return [line.removeprefix(f"{directory}/scheduler.yaml:") for line in str(caught.value).splitlines()]


def only(directory: Path, **plugins: Any) -> Profile:
    (found,) = build(directory, yaml.safe_dump({"profiles": [{"plugins": plugins}]})).values()
    return found


def sums(profile: Profile) -> dict[str, int]:
    """What each score counts."""
    return {plugin.name: profile.weight(plugin) for plugin in (*profile.score, *profile.compare)}


def filters(profile: Profile) -> list[str]:
    return [plugin.name for plugin in (*profile.filter, *profile.pod_filter)]


def test_without_a_word_it_is_the_default_profile(tmp_path: Path) -> None:
    built, expected = build(tmp_path, "")["default-scheduler"], default_profile()
    assert filters(built) == filters(expected)
    assert sums(built) == sums(expected)
    assert built.cures == expected.cures


def test_the_default_weights_are_upstreams(tmp_path: Path) -> None:
    upstream = {
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "NodeResourcesFit": 1,
        "PodTopologySpread": 2,
        "InterPodAffinity": 2,
        "NodeResourcesBalancedAllocation": 1,
        "ImageLocality": 1,
        "VolumeBinding": 1,
    }
    found = sums(build(tmp_path, "")["default-scheduler"])
    assert found == {name: upstream[name] for name in found}


def test_the_plugins_are_upstreams_in_their_order() -> None:
    assert list(REGISTRY) == [name for name in POINTS if name in REGISTRY]


@pytest.mark.parametrize("name", REGISTRY)
def test_every_plugin_stands_where_upstreams_does(name: str) -> None:
    """Scores may be left out (preScore) where upstream's cannot; what rejects stands at the same points."""
    plugin = REGISTRY[name](handle(), {})
    ours = {point for point in Point if implements(plugin, point)}
    assert ours - {Point.PRE_SCORE} <= POINTS[name]
    assert POINTS[name] & {Point.FILTER, Point.SCORE, Point.BIND, Point.QUEUE_SORT} <= ours


def test_a_point_can_be_emptied(tmp_path: Path) -> None:
    profile = only(tmp_path, score={"disabled": [{"name": "*"}]}, preScore={"disabled": [{"name": "*"}]})
    assert sums(profile) == {}
    assert filters(profile) == filters(default_profile())


def test_a_plugin_may_filter_and_not_score(tmp_path: Path) -> None:
    profile = only(tmp_path, score={"disabled": [{"name": "NodeResourcesFit"}]})
    assert "NodeResourcesFit" in filters(profile)
    assert "NodeResourcesFit" not in sums(profile)


def test_weights_are_configured(tmp_path: Path) -> None:
    profile = only(
        tmp_path,
        multiPoint={"enabled": [{"name": "TaintToleration"}]},
        score={"enabled": [{"name": "NodeAffinity", "weight": 7}]},
    )
    found = sums(profile)
    assert found["NodeAffinity"] == 7
    assert found["TaintToleration"] == 1, "a file that names a plugin without a weight means 1"
    assert found["PodTopologySpread"] == 2


def test_the_order_of_filters_is_configured(tmp_path: Path) -> None:
    profile = only(tmp_path, filter={"enabled": [{"name": "NodePorts"}, {"name": "NodeName"}]})
    assert filters(profile)[:3] == ["NodePorts", "NodeName", "NodeUnschedulable"]


def test_plugins_may_be_named_wherever_upstreams_stand(tmp_path: Path) -> None:
    profile = only(tmp_path, preFilter={"enabled": [{"name": "NodeResourcesFit"}]})
    assert filters(profile) == filters(default_profile())


def test_arguments_reach_their_plugin_and_only_in_their_profile(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        """
profiles:
- schedulerName: most
  pluginConfig:
  - name: NodeResourcesFit
    args:
      apiVersion: kubescheduler.config.k8s.io/v1
      kind: NodeResourcesFitArgs
      scoringStrategy: {type: MostAllocated}
- schedulerName: least
""",
    )
    first, second = (next(p for p in built[name].score if p.name == "NodeResourcesFit") for name in ("most", "least"))
    assert first is not second


REFUSED = [
    ("plugins: {filter: {enabled: [{name: Nope}]}}", ['4: plugin "Nope" does not exist']),
    ("plugins: {multiPoint: {enabled: [{name: Nope}]}}", ['4: plugin "Nope" does not exist']),
    (
        "plugins: {score: {enabled: [{name: NodeName}]}, bind: {enabled: [{name: NodePorts}]}}",
        [
            '4: plugin "NodeName" does not extend ScorePlugin plugin',
            '4: plugin "NodePorts" does not extend BindPlugin plugin',
        ],
    ),
    (
        "plugins: {bind: {disabled: [{name: '*'}]}}",
        ['4: at least one bind plugin is needed for profile with scheduler name "default-scheduler"'],
    ),
    (
        "plugins: {queueSort: {disabled: [{name: '*'}]}}",
        ['4: only one queue sort plugin required for profile with scheduler name "default-scheduler", but got 0'],
    ),
    (
        "pluginConfig:\n  - name: NodeResourcesFit\n    args:\n      scoringStrategy:\n        kind: MostAllocated",
        ['8: profiles[0].pluginConfig[0].args: strict decoding error: unknown field "scoringStrategy.kind"'],
    ),
    (
        "pluginConfig:\n  - name: NodeResourcesFit\n    args:\n      scoringStrategy:\n        type: Tight",
        [
            '8: profiles[0].pluginConfig[0].args.scoringStrategy.type: Unsupported value: "Tight": '
            'supported values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"'
        ],
    ),
    (
        "pluginConfig:\n  - name: NodeResourcesFit\n    args:\n      ignoredResources: gpu",
        [
            "7: profiles[0].pluginConfig[0].args: json: cannot unmarshal string into "
            "Go struct field NodeResourcesFitArgs.ignoredResources of type slice"
        ],
    ),
    (
        "pluginConfig:\n  - name: NodeResourcesFit\n    args: {kind: NodeAffinityArgs}",
        [
            "6: args for plugin NodeResourcesFit were not of type NodeResourcesFitArgs.kubescheduler.config.k8s.io, "
            "got NodeAffinityArgs.kubescheduler.config.k8s.io"
        ],
    ),
]


@pytest.mark.parametrize(("profile", "expected"), REFUSED, ids=[profile for profile, _ in REFUSED])
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, profile: str, expected: list[str]) -> None:
    assert problems(tmp_path, f"profiles:\n- {profile}\n") == expected


def test_the_problems_of_all_profiles_are_told(tmp_path: Path) -> None:
    body = """profiles:
- schedulerName: a
  plugins: {filter: {enabled: [{name: Nope}]}}
- schedulerName: b
  plugins: {bind: {enabled: [{name: NodeName}]}}
"""
    assert [line.partition(":")[0] for line in problems(tmp_path, body)] == ["5", "7"]


MODULE = """
from k8slite.scheduler.node_by_node import NodeByNode

class Picky(NodeByNode):
    name = "Picky"

    def __init__(self, args):
        self.args = args
        if "colour" not in args:
            raise ValueError("colour: Required value", "and no more")

    def filter_node(self, pod, node):
        return ""

class Sort:
    name = "Sort"

    def sort_key(self, pod):
        return 0

def picky(handle, args):
    return Picky(args)

def sort(handle, args):
    return Sort()

def broken(handle, args):
    raise RuntimeError("no disk")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = {"Picky": "picky", "Broken": "broken", "Sort": "sort", "Missing": "missing", "Twice": "picky"}
    install(tmp_path, monkeypatch, package="picky_plugins", code=MODULE, plugins=plugins)
    install(tmp_path, monkeypatch, package="rival_plugins", code=MODULE, plugins={"Twice": "picky"})


@pytest.mark.usefixtures("package")
def test_plugins_of_installed_packages_are_configured_like_ours(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        """
profiles:
- plugins: {multiPoint: {enabled: [{name: Picky}]}}
  pluginConfig:
  - name: Picky
    args: {colour: blue}
""",
    )["default-scheduler"]
    assert filters(built)[-1] == "Picky"
    assert "Picky" not in sums(built), "it does not say how well nodes suit"


REFUSED_OUTSIDE = [
    (
        "plugins: {multiPoint: {enabled: [{name: Picky}]}}\n  pluginConfig:\n  - name: Picky\n    args: {color: blue}",
        [
            "7: profiles[0].pluginConfig[0].args.colour: Required value",
            "7: profiles[0].pluginConfig[0].args: and no more",
        ],
    ),
    (
        "plugins: {multiPoint: {enabled: [{name: Broken}]}}",
        ['4: initializing plugin "Broken": RuntimeError: no disk'],
    ),
    (
        "plugins: {multiPoint: {enabled: [{name: Missing}]}}",
        [
            '4: plugin "Missing" cannot be loaded from picky_plugins:missing: '
            "AttributeError(\"module 'picky_plugins' has no attribute 'missing'\")"
        ],
    ),
    (
        "plugins: {multiPoint: {enabled: [{name: Twice}]}}",
        ['4: plugin "Twice" is offered by several packages: picky_plugins, rival_plugins'],
    ),
]


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("profile", "expected"), REFUSED_OUTSIDE)
def test_plugins_that_cannot_be_had(tmp_path: Path, profile: str, expected: list[str]) -> None:
    assert sorted(problems(tmp_path, f"profiles:\n- {profile}\n")) == sorted(expected)


@pytest.mark.usefixtures("package")
def test_all_profiles_sort_alike(tmp_path: Path) -> None:
    mine = "{queueSort: {enabled: [{name: Sort}], disabled: [{name: '*'}]}}"
    both = f"profiles:\n- schedulerName: a\n  plugins: {mine}\n- schedulerName: b\n  plugins: {mine}\n"
    assert {profile.queue_sort.name for profile in build(tmp_path, both).values()} == {"Sort"}
    everywhere = "{multiPoint: {enabled: [{name: Sort}], disabled: [{name: PrioritySort}]}}"
    assert problems(tmp_path, f"profiles:\n- schedulerName: a\n- schedulerName: b\n  plugins: {everywhere}\n") == [
        '5: different queue sort plugins for profile "b": "Sort", first: "PrioritySort"'
    ]


def test_a_plugin_that_overrides_nothing_stands_nowhere() -> None:
    plugin = NodeByNode()
    assert [point for point in Point if implements(plugin, point)] == []


def test_extenders_whose_certificates_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(f"{HEAD}extenders:\n- urlPrefix: https://a\n- tlsConfig: {{caFile: /nowhere}}\n")
    with pytest.raises(ConfigError) as caught:
        build_extenders(read_configuration(file))
    assert str(caught.value) == f"{file}:5: extenders[1].tlsConfig: [Errno 2] No such file or directory: '/nowhere'"


def test_what_an_extender_manages_alone_is_no_matter_of_resources(tmp_path: Path) -> None:
    body = """
profiles:
- pluginConfig:
  - name: NodeResourcesFit
    args: {ignoredResources: [example.com/one]}
extenders:
- managedResources:
  - {name: example.com/two, ignoredByScheduler: true}
  - {name: example.com/three}
"""
    profile = build(tmp_path, body)["default-scheduler"]
    chooser = Cycle(profile, random=Random(1))
    state = columns(node("a"))
    for name, fits in (("one", True), ("two", True), ("three", False)):
        asking = pod(requests={f"example.com/{name}": "1"})
        assert isinstance(chooser.decide(asking, shape_of(asking), state), Placement) is fits
