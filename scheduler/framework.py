"""The plugin interfaces.

A plugin implements one or several of these protocols; `plugins/__init__.py` names them. Filters and scores see a shape
and the columns and answer for many nodes at once; the extension points around a single pod see the pod.

    queue: PreEnqueue, QueueSort, Hints     decision: PreFilter, Filter, PodFilter, PostFilter, PreScore, Score, Compare
    binding: Reserve, Permit, PreBind, Bind, PostBind

Source: Kubernetes documentation, "Scheduling Framework"; the difference is that one call judges all nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from k8slite.client import Client
from k8slite.clock import Clock

from .change import Change, Event
from .columns import Amounts, Columns
from .informers import Informers
from .journal import Rows
from .labels import Mask
from .permits import Wait, WaitingPods
from .shape import Shape
from .view import Pod

if TYPE_CHECKING:
    from .judging import Concerned

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
    """Says whether an event can help pods that the plugin rejected; without it, each of its `cures` may (`hints.py`).

    Filters that read only the node itself need none: they are asked anew for the node's row. A Filter is asked once for
    all pods of a shape, of which `pod` is any. A PostFilter that hints is asked about everybody: what may let it make
    room where it could not before.
    """

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether the pod might fit now; asked only for events among the plugin's `cures`, which happened lately."""
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


@runtime_checkable
class Alike(Plugin, Protocol):
    """A PodFilter that knows what of a pod its answer depends on beside the shape.

    Rejected pods that are alike to it wait together: one of them is tried for all. Without it each waits for itself.
    """

    def alike(self, pod: Pod) -> Hashable:
        """Equal for pods to which it always says the same."""
        ...


@runtime_checkable
class Narrowing(Plugin, Protocol):
    """A filter that may know by name the only nodes that come into question: no filter looks at others."""

    def among(self, shape: Shape) -> frozenset[str] | None:
        """The names; None if it does not know. Without any, `conflict` is why the pod can run nowhere."""
        ...

    conflict: str


@runtime_checkable
class Unresolvable(Plugin, Protocol):
    """A filter (of either kind) that knows nodes where its no stands, whatever pods leave them: preemption spares them.

    A filter that is not of this kind may always have said no because of some pod.
    """

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Which of the rows, all of which failed, would fail also without any pod on their node."""
        ...


@runtime_checkable
class Measured(Filter, Protocol):
    """A filter that compares amounts and nothing else: `columns.requested + needs <= columns.allocatable`.

    What it would say if other pods were placed is reckoned for all nodes at once, without asking it.
    """

    def needs(self, shape: Shape, columns: Columns) -> Amounts:
        """A number for each resource row, as one column; minus infinity where the resource does not matter."""
        ...


class Judge(Protocol):
    """All filters of a profile, for somebody who asks what would be if columns were otherwise."""

    def feasible(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Which of the rows can run the pod as the columns stand; nothing is remembered."""
        ...

    def resolvable(self, pod: Pod, shape: Shape, columns: Columns) -> npt.NDArray[np.intp]:
        """The rows that cannot run the pod, but might if pods left their node."""
        ...

    def concerned(self, pod: Pod, shape: Shape) -> Concerned:
        """The filters that have something to say of the pod."""
        ...


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a post filter did for a pod: `made` if there will be room, else `message` says why not.

    `nominate` is the node that the pod is to be tried on first: empty for none any more, None to leave it as it was.
    """

    message: str = ""
    made: bool = False
    nominate: str | None = None


@runtime_checkable
class PostFilter(Plugin, Protocol):
    """Tries to make room for a pod that fits nowhere; those of a profile are asked in order until one does."""

    def post_filter(self, pod: Pod, shape: Shape, columns: Columns, judge: Judge) -> Remedy:
        """Start what may make room, and say what came of it."""
        ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """How room might be made: the node, the pods that would go (the most important first), and budgets broken."""

    node: str
    victims: tuple[Pod, ...]
    violations: int = 0


@runtime_checkable
class Proposing(PostFilter, Protocol):
    """A post filter in two steps, so that others may have their say in between."""

    def propose(self, pod: Pod, shape: Shape, columns: Columns, judge: Judge) -> Proposal | Remedy:
        """What would make room at the least cost; nothing has come of it yet."""
        ...

    def carry_out(self, pod: Pod, proposal: Proposal) -> Remedy:
        """Start what may make room."""
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

    def permit(self, pod: Pod, node: str) -> str | Wait:
        """Nothing lets the pod be bound, a reason denies it, `Wait` keeps it until `Handle.waiting` is told more."""
        ...


@runtime_checkable
class PreBind(Plugin, Protocol):
    """Does what must be done before the binding is written, however long that takes."""

    def prepares(self, pod: Pod, node: str) -> bool:
        """Whether there is anything to be done; asked of every pod."""
        ...

    async def pre_bind(self, pod: Pod, node: str) -> str:
        """Return when the pod may be bound; a reason fails the attempt. Raises as `bind`."""
        ...


@runtime_checkable
class Bind(Plugin, Protocol):
    """Writes the binding; those of a profile are asked in order until one does."""

    async def bind(self, pod: Pod, node: str) -> bool:
        """Bind the pod, or leave it to the next (False). Raises ApiError, aiohttp.ClientError or TimeoutError."""
        ...


@runtime_checkable
class PostBind(Plugin, Protocol):
    """Hears of pods that were bound."""

    def post_bind(self, pod: Pod, node: str) -> None:
        """The pod was bound."""
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
    `activate` has a waiting pod tried at once, by UID; `admit` has its gates asked again. `revoke` takes the promise of
    a node from a pod. `record` writes an event: the scheduler name that speaks, the pod, the reason and the message.
    `waiting` are the pods that a permit plugin keeps waiting, of all profiles.
    """

    client: Client
    clock: Clock
    columns: Columns
    informers: Informers
    changed: Callable[[Event], None]
    activate: Callable[[str], None]
    admit: Callable[[str], None]
    revoke: Callable[[Pod], None]
    record: Callable[[str, Pod, str, str], None]
    waiting: WaitingPods = field(default_factory=WaitingPods)


Args = Mapping[str, Any]
"""The plugin's `args` of a KubeSchedulerConfiguration, decoded; empty without."""
Factory = Callable[[Handle, Args], Plugin]
"""Raises ValueError for arguments that it cannot accept; each argument of the error is a problem, `path: message`."""
