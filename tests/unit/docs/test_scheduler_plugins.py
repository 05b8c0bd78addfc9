"""The plugins in the documentation, installed and run as they stand there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from random import Random

import pytest

from k8slite.config import ConfigError
from k8slite.scheduler.configuration.building import build_profiles
from k8slite.scheduler.configuration.reading import read_configuration
from k8slite.scheduler.cycle import Cycle, Decision, Placement, Unschedulable
from k8slite.scheduler.framework import Handle
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Node, Pod
from tests.unit.scheduler.builders import columns, handle, node, pod
from tests.unit.scheduler.configuration.packages import install

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "scheduler-plugins.md"
CONFIGURATION = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- plugins:
    multiPoint: {enabled: [{name: Licences}, {name: Frugal, weight: 100}]}
  pluginConfig:
  - {name: Licences, args: {label: licensed}}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project,) = map(tomllib.loads, blocks("toml"))
    offered = project["project"]["entry-points"]["k8slite.scheduler.plugins"]
    plugins = {name: value.removeprefix("example_plugins:") for name, value in offered.items()}
    install(tmp_path, monkeypatch, package="example_plugins", code="\n".join(blocks("python")), plugins=plugins)


def licensed(name: str, licences: int, **labels: str) -> Node:
    found = node(name, labels=labels)
    annotations = {"annotations": {"example.com/licences": str(licences)}}
    return found.model_copy(update={"metadata": found.metadata.model_copy(update=annotations)})


class Deciding:
    """Decides over some nodes with the documented plugins."""

    def __init__(self, directory: Path, *nodes: Node, configuration: str = CONFIGURATION) -> None:
        file = directory / "scheduler.yaml"
        file.write_text(configuration)
        self.columns = columns(*nodes)
        self.handle: Handle = handle(self.columns)
        profile = build_profiles(self.handle, read_configuration(file))["default-scheduler"]
        self._cycle = Cycle(profile, random=Random(1))

    def decide(self, asking: Pod) -> Decision:
        decision = self._cycle.decide(asking, shape_of(asking), self.columns)
        if isinstance(decision, Placement):
            self.columns.place(asking, shape_of(asking), decision.node)
        return decision


def place(decision: Decision) -> str:
    assert isinstance(decision, Placement)
    return decision.node


def test_pods_go_where_there_are_licences(tmp_path: Path) -> None:
    it = Deciding(tmp_path, licensed("none", 0), licensed("two", 2))
    wanting = [pod(labels={"licensed": "yes"}) for _ in range(3)]
    assert [place(it.decide(each)) for each in wanting[:2]] == ["two", "two"]
    refused = it.decide(wanting[2])
    assert isinstance(refused, Unschedulable)
    assert refused.message == "0/2 nodes are available: 2 no licence left."
    assert refused.rejected_by == {"Licences"}
    it.columns.remove(wanting[0].uid)
    assert place(it.decide(wanting[2])) == "two"


def test_the_node_that_takes_the_least_power_is_best(tmp_path: Path) -> None:
    it = Deciding(tmp_path, licensed("hot", 9, watts="400"), licensed("cool", 9, watts="100"))
    assert place(it.decide(pod())) == "cool"
    it.columns.set_node(licensed("cool", 9, watts="900"))
    assert place(it.decide(pod())) == "hot"


def test_missing_arguments_are_said_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"scheduler.yaml:8: profiles\[0\].pluginConfig\[0\].args.label: Required value"
    ):
        Deciding(tmp_path, configuration=CONFIGURATION.replace("{label: licensed}", "{}"))
