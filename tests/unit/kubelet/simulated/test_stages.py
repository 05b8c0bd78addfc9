"""The file of stages: what is read, and what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from k8slite.config import ConfigError
from k8slite.kubelet.simulated import stages

DOCS = Path(__file__).parents[4] / "docs"
PAGE = DOCS / "reference" / "stages.md"


def test_a_file_says_only_what_is_different(tmp_path: Path) -> None:
    file = tmp_path / "stages.yaml"
    file.write_text("pods: [{name: slow, match: {state: Pending}, delay: 2.5, next: {state: Running}}]\n")
    found = stages.load(file)
    assert found.pods[0].delay == stages.Delay(seconds=2.5)
    assert [one.name for one in found.pod_table["Pending", False]] == ["slow", "run"]
    assert [one.name for one in found.pod_table["Pending", True]] == ["delete"]
    assert stages.load(None) == stages.Stages()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pods: [{name: a, next: {state: Flying}}]", r"pods\.0\.next\.state: Input should be 'Pending', "),
        ("pods: [{name: a, match: {phase: Pending}, next: {state: Failed}}]", r"pods\.0\.match\.phase: Extra inputs"),
        (
            "pods: [{name: a, match: {state: Pending, selector: 'a=('}, next: {state: Failed}}]",
            r"pods\.0\.match\.selector: Value error, unable to parse requirement",
        ),
        (
            "pods: [{name: a, chance: 2, next: {state: Deleted}}]",
            r"pods\.0\.chance: Input should be less than or equal",
        ),
        ("pods: [{name: a, delay: -1, next: {state: Deleted}}]", r"pods\.0\.delay\.seconds: Input should be greater"),
        ("pods: [{next: {state: Deleted}}]", r"pods\.0\.name: Field required"),
        (
            "pods: [{name: a, match: {state: Running}, next: {state: Running}}]",
            r"pods\.0: Value error, a stage for pods that are Running already needs delay\.seconds",
        ),
        (
            "nodes: [{name: a, next: {state: Ready}}]",
            r"nodes\.0: Value error, a stage for nodes that are Ready already needs delay\.seconds",
        ),
        (
            "nodes: [{name: a, match: {state: Asleep}, next: {state: Ready}}]",
            r"nodes\.0\.match\.state\.0: Input should be",
        ),
        ("usage: [{cpu: lots}]", r"usage\.0\.cpu: Value error, quantities must match"),
        ("usage: [{memory: -1Mi}]", r"usage\.0\.memory: Value error, -1Mi is less than nothing"),
        ("seeds: 1", r"seeds: Extra inputs are not permitted"),
        ("pods: [", r"while parsing"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_field(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "stages.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"{re.escape(str(file))}: .*{told}"):
        stages.load(file)


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("The file", stages.Stages),
        ("A stage", stages.PodStage),
        ("Delay", stages.Delay),
        ("Which pods (`match` of `pods`)", stages.PodMatch),
        ("What becomes of a pod (`next` of `pods`)", stages.PodNext),
        ("Which nodes (`match` of `nodes`)", stages.NodeMatch),
        ("What becomes of a node (`next` of `nodes`)", stages.NodeNext),
        ("What pods use (`usage`)", stages.Use),
        ("Which pods use it (`match` of `usage`)", stages.Whose),
    ],
)
def test_every_field_is_documented(heading: str, model: type[BaseModel]) -> None:
    text = PAGE.read_text().split(f"\n## {heading}\n")[1].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE) == [f.alias for f in model.model_fields.values()]


def test_every_stage_that_is_built_in_is_documented() -> None:
    text = PAGE.read_text().split("\n## Built in\n")[1]
    assert re.findall(r"^\| `([\w-]+)` \|", text, flags=re.MULTILINE) == [stage.name for stage in stages.BUILTIN]


def test_the_example_of_the_how_to_is_one(tmp_path: Path) -> None:
    text = (DOCS / "how-to" / "simulated-nodes.md").read_text()
    [block] = [block for block in re.findall(r"^```\n(.*?)^```", text, flags=re.M | re.S) if block.startswith("seed:")]
    file = tmp_path / "stages.yaml"
    file.write_text(block)
    found = stages.load(file)
    assert ([one.name for one in found.pods], [one.name for one in found.nodes]) == (
        ["pull", "start", "crash"],
        ["lose", "return"],
    )
