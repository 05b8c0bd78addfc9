"""Stages: what becomes of simulated pods and nodes, as a table of rules that a file can extend.

The first stage that matches an object in its present state, and whose chance comes up, is the one that happens, after
its delay. Then the object is in another state, and the table is asked again. The stages of a file stand before those
that are built in, so a file says only what is to be different.

The idea of stages is KWOK's (kwok.sigs.k8s.io).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from k8slite import config, quantity
from k8slite.config import Config
from k8slite.selectors import LabelSelector, SelectorError, parse_label_selector

from .facts import NodeState, PodState

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def seconds(text: str) -> float | None:
    """A duration as `1.5`, `300ms` or `1m30s` in seconds; None for anything else."""
    if not re.fullmatch(r"\d+(\.\d+)?|(\d+(\.\d+)?(ms|s|m|h))+", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(ms|s|m|h|)", text))


class Delay(Config):
    """How long after an object has come into its state the stage happens; in a file a bare number will do."""

    seconds: float = Field(default=0.0, ge=0)
    jitter: float = Field(default=0.0, ge=0)
    """Up to so many seconds more, by chance."""
    annotation: str = ""
    """An annotation of the object that, where it is there, says how long instead of `seconds` (`3`, `500ms`, `2m`)."""
    backoff: float = Field(default=0.0, ge=0)
    """Doubles with each restart of the pod, until it is this long; 0 is always the same."""


def _delay(value: Any) -> Any:
    return {"seconds": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class Match(Config):
    """Which objects a stage is for: all that is said must hold."""

    selector: str = ""
    """A label selector: `app=web,tier!=test`."""
    annotations: str = ""
    """The same for annotations: `example.com/fails` for those that have it at all."""

    @field_validator("selector", "annotations")
    @classmethod
    def _parsed(cls, text: str) -> str:
        _selector(text)
        return text

    @cached_property
    def labels(self) -> LabelSelector:
        """`selector`, parsed."""
        return _selector(self.selector)

    @cached_property
    def marks(self) -> LabelSelector:
        """`annotations`, parsed."""
        return _selector(self.annotations)


def _selector(text: str) -> LabelSelector:
    try:
        return parse_label_selector(text)
    except SelectorError as error:
        raise ValueError(str(error)) from None


class Whose(Match):
    """Which pods, by what does not change about them."""

    namespaces: Annotated[list[str], BeforeValidator(_listed)] = []
    """Empty means every one, here and below."""
    owner: str = ""
    """The kind of the pod's controller: `Job`, `ReplicaSet`."""
    node: str = ""
    """A label selector for the node that the pod is on."""

    @field_validator("node")
    @classmethod
    def _parsed_node(cls, text: str) -> str:
        _selector(text)
        return text

    @cached_property
    def node_labels(self) -> LabelSelector:
        """`node`, parsed."""
        return _selector(self.node)


class PodMatch(Whose):
    """Which pods."""

    state: Annotated[list[PodState], BeforeValidator(_listed)] = []
    deleting: bool = False
    """Pods whose deletion has begun, or those that are to live."""
    ends: bool | None = None
    """Whether the pod's commands say when they end (`sleep 5`, `true`, `false`, `exit 3`; `commands.py`)."""


class PodNext(Config):
    """What becomes of a pod."""

    state: Literal[PodState, "Ended", "Deleted"]
    """`Ended`: its containers end, and its restart policy decides what that means. `Deleted`: it is gone."""
    exit_code: int | None = Field(default=None, ge=0, le=255)
    """Of containers that end; unset is what their commands say, else 0, or 1 where the pod fails."""
    reason: str = ""
    message: str = ""
    status: dict[str, Any] = {}
    """More of the pod's status, merged in."""


class NodeMatch(Match):
    """Which nodes."""

    state: Annotated[list[NodeState], BeforeValidator(_listed)] = []
    """Empty means every one."""


class NodeNext(Config):
    """What becomes of a node."""

    state: Literal[NodeState, "Deleted"]
    """`Silent`: no heartbeats and no work on its pods, until another stage. `Deleted`: it is removed."""
    reason: str = ""
    message: str = ""
    conditions: dict[str, bool] = {}
    """Other conditions of the node, as `MemoryPressure: true`; those that are not named are as on a healthy node."""


class Stage(Config):
    """One rule."""

    name: str = Field(min_length=1)
    chance: float = Field(default=1.0, ge=0, le=1)
    """How probable it is that the stage happens to an object that matches; otherwise the next ones are asked."""
    delay: Annotated[Delay, BeforeValidator(_delay)] = Delay()


class PodStage(Stage):
    """A rule for pods."""

    match: PodMatch = PodMatch()
    next: PodNext

    @model_validator(mode="after")
    def _moves(self) -> PodStage:
        _check_moves("pods", self.match.state, self.next.state, self.delay)
        return self


class NodeStage(Stage):
    """A rule for nodes."""

    match: NodeMatch = NodeMatch()
    next: NodeNext

    @model_validator(mode="after")
    def _moves(self) -> NodeStage:
        _check_moves("nodes", self.match.state, self.next.state, self.delay)
        return self


def _check_moves(what: str, states: Sequence[str], to: str, delay: Delay) -> None:
    """Whether a stage would happen again and again without a pause. Raises ValueError."""
    if not delay.seconds and (to in states if states else to != "Deleted"):
        raise ValueError(f"a stage for {what} that are {to} already needs delay.seconds")


def _amount(text: str) -> str:
    if text and quantity.parse(text) < 0:
        raise ValueError(f"{text} is less than nothing")
    return text


Amount = Annotated[str, AfterValidator(_amount)]
"""A quantity, as `250m` or `64Mi`; empty is unsaid."""


class Use(Config):
    """What running pods use, as far as their annotations do not say."""

    match: Whose = Whose()
    cpu: Amount = ""
    """Of the whole pod; its containers share it in equal parts. Unset, here and below: half of what they request."""
    memory: Amount = ""


class Stages(Config):
    """A file of stages."""

    seed: int = 0
    """Chance and jitter follow from this and from the objects' names alone: the same names fare the same again."""
    builtin: bool = True
    """Whether the stages that are built in stand behind these."""
    pods: list[PodStage] = []
    nodes: list[NodeStage] = []
    usage: list[Use] = []
    """What pods use; the first that matches a pod counts."""

    @cached_property
    def pod_table(self) -> Mapping[tuple[PodState, bool], tuple[PodStage, ...]]:
        """The stages for pods by state and deletion, in order."""
        every = (*self.pods, *(BUILTIN if self.builtin else ()))
        states: tuple[PodState, ...] = get_args(PodState)
        return {
            (state, deleting): tuple(
                stage
                for stage in every
                if stage.match.deleting == deleting and (not stage.match.state or state in stage.match.state)
            )
            for state in states
            for deleting in (False, True)
        }


COMPLETE_AFTER = "k8slite.io/complete-after"
"""The annotation that says how long a pod that ends takes, if its command does not."""


def _pods(name: str, match: dict[str, Any], next_: str, **delay: Any) -> PodStage:
    return PodStage.model_validate({"name": name, "match": match, "next": {"state": next_}, "delay": delay})


BUILTIN = (
    _pods("run", {"state": ["Pending", "Initializing"]}, "Running"),
    _pods("end", {"state": "Running", "ends": True}, "Ended"),
    _pods("complete-job", {"state": "Running", "owner": "Job"}, "Ended", seconds=1.0, annotation=COMPLETE_AFTER),
    _pods("complete", {"state": "Running", "annotations": COMPLETE_AFTER}, "Ended", annotation=COMPLETE_AFTER),
    _pods("restart", {"state": "CrashLoopBackOff"}, "Running", seconds=10.0, backoff=300.0),
    _pods("delete", {"deleting": True}, "Deleted"),
)
"""Pods run at once; those of Jobs, and those whose command or annotation says so, end; what is deleted goes."""


def load(path: Path | None) -> Stages:
    """The stages of a file, or those built in. Raises ConfigError with file and field."""
    return config.load(Stages, path) if path is not None else Stages()
