"""The plugin interfaces, and the profile that a set of plugins makes.

A plugin implements one or several of these protocols; `plugins/__init__.py` names them. Filters and scores see a shape
and the columns and answer for many nodes at once; the extension points around a single pod see the pod.

    queue: PreEnqueue, QueueSort, Hints     decision: PreFilter, Filter, PodFilter, PostFilter, PreScore, Score, Compare
    binding: Reserve, Permit, PreBind, Bind

Source: Kubernetes documentation, "Scheduling Framework"; the difference is that one call judges all nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from k8slite.client import Client
from k8slite.clock import Clock

from .change import Change, Event
from .columns import Columns
from .informers import Informers
from .journal import Rows
from .labels import Mask
from .shape import Shape
from .view import Pod

Scores = npt.NDArray[np.float64]
MAX_SCORE = 100.0


class Reads(Enum):
    """Which columns a plugin's answer depends on: what decides when it must be asked again."""

    STATIC = auto()
    """Only the nodes themselves."""
    USAGE = auto()
    """Also what is placed on them."""
    CLUSTER = auto()
    """Also what is placed on other nodes: asked at each decision, for all rows."""


class Normalize(Enum):
    """How raw scores become 0–100 over the feasible nodes."""

    NONE = auto()
    """They are 0–100 already."""
    HIGHEST = auto()
    """The highest becomes 100."""
    REVERSED = auto()
    """The highest becomes 0, 0 becomes 100."""


class Plugin(Protocol):
    """What every plugin has."""

    name: str


@runtime_checkable
class PreEnqueue(Plugin, Protocol):
    """Keeps pods out of the queue that are not to be scheduled yet."""

    def admits(self, pod: Pod) -> bool:
        """Whether the pod may be scheduled."""
        ...


@runtime_checkable
class QueueSort(Plugin, Protocol):
    """Orders the queue; a profile has exactly one."""

    def sort_key(self, pod: Pod) -> int:
        """Lower goes first; equal ones go in order of arrival."""
        ...


@runtime_checkable
class Hints(Plugin, Protocol):
    """Says whether an event can help a pod that the plugin rejected; without it, `cures` decides (see `queue.py`)."""

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether the pod might fit now; asked only for events among the plugin's `cures`, which have just happened."""
        ...


@runtime_checkable
class PreFilter(Plugin, Protocol):
    """Rejects a pod before any node is looked at."""

    cures: Change

    def pre_filter(self, pod: Pod, columns: Columns) -> str:
        """Why the pod can run nowhere; empty if it is not for this plugin to say."""
        ...


@runtime_checkable
class Filter(Plugin, Protocol):
    """Says which nodes can run a shape. `cures` are the changes that can turn a no into a yes."""

    reads: Reads
    cures: Change

    def concerns(self, shape: Shape) -> bool:
        """Whether the filter has anything to say of the shape; asked once a shape."""
        ...

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Which of the rows pass."""
        ...

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """Why rows that did not pass failed: reason and number of nodes; a node may count for several reasons."""
        ...


@runtime_checkable
class PodFilter(Plugin, Protocol):
    """Says which nodes can run a pod, where that depends on more than its shape; asked anew at each decision."""

    cures: Change

    def concerns_pod(self, pod: Pod) -> bool:
        """Whether the filter has anything to say of the pod."""
        ...

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Which of the rows, all of which passed so far, pass."""
        ...

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """Why rows that did not pass failed."""
        ...


class Judge(Protocol):
    """All filters of a profile, for somebody who asks what would be if columns were otherwise."""

    def feasible(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Which of the rows can run the pod as the columns stand; nothing is remembered."""
        ...


@runtime_checkable
class PostFilter(Plugin, Protocol):
    """Tries to make room for a pod that fits nowhere."""

    def post_filter(self, pod: Pod, shape: Shape, columns: Columns, judge: Judge) -> str:
        """A sentence for the user on what came of it; empty to say nothing."""
        ...


@runtime_checkable
class PreScore(Plugin, Protocol):
    """Lets a score be left out where it would be the same for all nodes."""

    def pre_score(self, shape: Shape) -> bool:
        """Whether to score the shape; asked once a shape."""
        ...


@runtime_checkable
class Score(Plugin, Protocol):
    """Says how well nodes suit a shape."""

    reads: Reads
    weight: int
    normalize: Normalize

    def score(self, shape: Shape, columns: Columns, rows: Rows) -> Scores:
        """Whole scores of the rows, also of those that cannot run the shape: 0–100 unless normalized."""
        ...


@runtime_checkable
class Compare(Plugin, Protocol):
    """Says how well nodes suit a shape where that depends on the other nodes; asked at each decision."""

    weight: int

    def concerned(self, pod: Pod, shape: Shape) -> bool:
        """Whether it has anything to say of the pod."""
        ...

    def compare(self, pod: Pod, shape: Shape, columns: Columns, feasible: Mask) -> Scores:
        """Scores 0–100 of all rows; those that are not feasible may get any."""
        ...


@runtime_checkable
class Reserve(Plugin, Protocol):
    """Keeps state of its own for pods about to be bound."""

    def reserve(self, pod: Pod, node: str) -> str:
        """The pod is going to be bound; a reason keeps it from that."""
        ...

    def unreserve(self, pod: Pod, node: str) -> None:
        """It is not, after all; must be harmless if `reserve` never ran."""
        ...


@runtime_checkable
class Permit(Plugin, Protocol):
    """Delays or denies a binding."""

    async def permit(self, pod: Pod, node: str) -> str:
        """Return when the pod may be bound; a reason denies it."""
        ...


@runtime_checkable
class PreBind(Plugin, Protocol):
    """Does what must be done before the binding is written."""

    async def pre_bind(self, pod: Pod, node: str) -> str:
        """Return when the pod may be bound; a reason fails the attempt. Raises as `bind`."""
        ...


@runtime_checkable
class Bind(Plugin, Protocol):
    """Writes the binding; a profile has exactly one."""

    async def bind(self, pod: Pod, node: str) -> None:
        """Bind the pod. Raises ApiError, aiohttp.ClientError or TimeoutError."""
        ...


@runtime_checkable
class Background(Plugin, Protocol):
    """Has work of its own beside decisions and bindings."""

    async def run(self) -> None:
        """Work until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Handle:
    """What a plugin may be made of. Informers asked for by a factory are synced before the first decision.

    `changed` wakes pods that the plugin rejected, for what `informers` brings; nodes and pods are told without it.
    """

    client: Client
    clock: Clock
    columns: Columns
    informers: Informers
    changed: Callable[[Event], None]


Args = Mapping[str, Any]
"""The plugin's `args` of a KubeSchedulerConfiguration, decoded; empty without."""
Factory = Callable[[Handle, Args], Plugin]
"""Raises ValueError for arguments that it cannot accept."""
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Profile:
    """The plugins of one scheduler, by extension point and in order."""

    queue_sort: QueueSort
    bind: Bind
    pre_enqueue: tuple[PreEnqueue, ...] = ()
    pre_filter: tuple[PreFilter, ...] = ()
    filter: tuple[Filter, ...] = ()
    pod_filter: tuple[PodFilter, ...] = ()
    post_filter: tuple[PostFilter, ...] = ()
    pre_score: Mapping[str, PreScore] = field(default_factory=dict)
    """By name, as they say something of the score of the same name."""
    score: tuple[Score, ...] = ()
    compare: tuple[Compare, ...] = ()
    reserve: tuple[Reserve, ...] = ()
    permit: tuple[Permit, ...] = ()
    pre_bind: tuple[PreBind, ...] = ()
    background: tuple[Background, ...] = ()
    cures: Mapping[str, Change] = field(default_factory=dict)
    """By name of a plugin that rejects: the changes that may cure it."""


def profile(plugins: Iterable[Plugin]) -> Profile:
    """Sort plugins into their extension points. Raises ValueError unless exactly one sorts and one binds."""
    found = list(plugins)

    def of(protocol: type[P]) -> tuple[P, ...]:
        return tuple(plugin for plugin in found if isinstance(plugin, protocol))

    sorts: tuple[QueueSort, ...] = of(QueueSort)  # type: ignore[type-abstract]
    binds: tuple[Bind, ...] = of(Bind)  # type: ignore[type-abstract]
    if len(sorts) != 1 or len(binds) != 1:
        raise ValueError(f"a profile needs one queue sort and one bind plugin, not {len(sorts)} and {len(binds)}")
    filters: tuple[Filter, ...] = of(Filter)  # type: ignore[type-abstract]
    pod_filters: tuple[PodFilter, ...] = of(PodFilter)  # type: ignore[type-abstract]
    pre_filters: tuple[PreFilter, ...] = of(PreFilter)  # type: ignore[type-abstract]
    return Profile(
        queue_sort=sorts[0],
        bind=binds[0],
        pre_enqueue=of(PreEnqueue),  # type: ignore[type-abstract]
        pre_filter=pre_filters,
        filter=filters,
        pod_filter=pod_filters,
        post_filter=of(PostFilter),  # type: ignore[type-abstract]
        pre_score={p.name: p for p in of(PreScore)},  # type: ignore[type-abstract]
        score=of(Score),  # type: ignore[type-abstract]
        compare=of(Compare),  # type: ignore[type-abstract]
        reserve=of(Reserve),  # type: ignore[type-abstract]
        permit=of(Permit),  # type: ignore[type-abstract]
        pre_bind=of(PreBind),  # type: ignore[type-abstract]
        background=of(Background),  # type: ignore[type-abstract]
        cures={p.name: p.cures for p in pre_filters}
        | {p.name: p.cures for p in filters}
        | {p.name: p.cures for p in pod_filters},
    )
