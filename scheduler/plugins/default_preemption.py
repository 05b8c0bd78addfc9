"""A pod that fits nowhere may take the place of pods of lower priority.

While those leave, the node is promised to it (see `nominations.py`), and it does not preempt again. `preemption/` has
the theory.

Source: Kubernetes documentation, "Pod Priority and Preemption"; kube-scheduler's DefaultPreemption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from k8slite.errors import Cause, invalid_value

from .. import metrics
from ..arguments import Part, read, refuse
from ..change import NOWHERE, Change, Event
from ..columns import Columns
from ..configuration.values import Int32
from ..framework import Args, Handle, Judge, Proposal, Remedy
from ..judging import Chosen
from ..preemption.budgets import BUDGETS, Budgets
from ..preemption.choice import Choice, Enough, hopeless
from ..preemption.dry_run import Candidate
from ..preemption.eviction import Evictions, Preemption
from ..preemption.roster import Priorities
from ..shape import Shape
from ..view import Pod

NEVER = "not eligible due to preemptionPolicy=Never."
TERMINATING = "not eligible due to a terminating pod on the nominated node."
UNDER_WAY = "waiting for the preemption for this pod to be finished"


PERCENTAGE, ABSOLUTE = "minCandidateNodesPercentage", "minCandidateNodesAbsolute"


class DefaultPreemptionArgs(Part):
    """How many candidates are enough; where amounts alone decide all nodes are compared anyway."""

    min_candidate_nodes_percentage: Int32 = 10
    min_candidate_nodes_absolute: Int32 = 100


class DefaultPreemption:
    """Chooses the node where the least is lost, and has its victims evicted."""

    name = "DefaultPreemption"
    cures = Change.NODE_ADDED | Change.NODE_ALLOCATABLE | Change.NODE_LABELS | Change.NODE_TAINTS | Change.POD_REMOVED

    def __init__(self, handle: Handle, args: Args) -> None:
        """Raises BadArguments."""
        self._columns = handle.columns
        found = read(DefaultPreemptionArgs, args)
        refuse(_problems(found))
        self._enough = Enough(found.min_candidate_nodes_percentage, found.min_candidate_nodes_absolute)
        self._budgets = Budgets()
        handle.informers.of(BUDGETS).add_handler(self._budgets.on_budget)
        self._priorities = handle.columns.of(Priorities)
        self._evictions = Evictions(handle, name=self.name)
        self._choice: Choice | None = None

    def admits(self, pod: Pod) -> bool:
        """Not while calls for its victims are being made."""
        return not self._evictions.busy(pod.uid)

    async def run(self) -> None:
        """Evict until cancelled."""
        await self._evictions.run()

    def post_filter(self, pod: Pod, shape: Shape, columns: Columns, judge: Judge) -> Remedy:
        """Make room for the pod, if it may have any made, and if that is possible."""
        metrics.PREEMPTION_ATTEMPTS.add()
        found = self.propose(pod, shape, columns, judge)
        return found if isinstance(found, Remedy) else self.carry_out(pod, found)

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether a node with pods of lower priority changed, or lost one that could not be removed for this pod."""
        priority = pod.spec.priority
        if event.row == NOWHERE or pod.spec.preemption_policy == "Never":
            return False
        others = [p.pod for p in columns.pods_on(event.row).values() if p.pod.spec.priority < priority]
        if isinstance(event.old, Pod) and event.old.spec.priority < priority:
            # Unless it was waited for: then somebody may be left whose eviction failed.
            own = columns.nominations.get(pod.uid)
            if own is None or own.node != columns.names[event.row] or any(map(self._evictions.leaving, others)):
                return False
        return bool(others)

    def propose(self, pod: Pod, shape: Shape, columns: Columns, judge: Judge) -> Proposal | Remedy:
        """The node that loses least, and whom."""
        if pod.spec.preemption_policy == "Never":
            return Remedy(f"preemption: {NEVER}")
        if self._evictions.busy(pod.uid):
            return Remedy(f"preemption: {UNDER_WAY}")
        resolvable = judge.resolvable(pod, shape, columns)
        if self._waits(pod, resolvable):
            return Remedy(f"preemption: {TERMINATING}")
        found = self._choose(pod, shape, judge, resolvable)
        if isinstance(found, Candidate):
            victims = tuple(placed.pod for placed in found.victims)
            return Proposal(columns.names[found.row], victims, found.violations)
        texts = ", ".join(sorted(f"{number} {reason}" for reason, number in found.items()))
        return Remedy(f"preemption: 0/{columns.node_count} nodes are available: {texts}.", nominate="")

    def carry_out(self, pod: Pod, proposal: Proposal) -> Remedy:
        """Have the victims evicted."""
        self._evictions.begin(Preemption(pod, proposal.node, proposal.victims))
        return Remedy(made=True, nominate=proposal.node)

    def _choose(self, pod: Pod, shape: Shape, judge: Judge, resolvable: Chosen) -> Candidate | Counter[str]:
        if not self._priorities.lower_than(pod.spec.priority):
            return hopeless(resolvable.size, of=self._columns.node_count, resolvable=resolvable.size)
        if self._choice is None:
            self._choice = Choice(self._columns, self._budgets, enough=self._enough)
        return self._choice.choose(pod, shape, judge, resolvable)

    def _waits(self, pod: Pod, resolvable: Chosen) -> bool:
        """Whether victims leave the node that the pod is promised; not for a node that it cannot have anyway."""
        columns = self._columns
        nominated = columns.nominations.get(pod.uid)
        row = columns.rows.get(nominated.node) if nominated is not None else None
        if row is None or row not in resolvable:
            return False
        return any(
            placed.pod.spec.priority < pod.spec.priority and self._evictions.leaving(placed.pod)
            for placed in columns.pods_on(row).values()
        )


def _problems(args: DefaultPreemptionArgs) -> Iterator[Cause]:
    percentage, absolute = args.min_candidate_nodes_percentage, args.min_candidate_nodes_absolute
    if not 0 <= percentage <= 100:
        yield invalid_value(PERCENTAGE, percentage, "not in valid range [0, 100]")
    if absolute < 0:
        yield invalid_value(ABSOLUTE, absolute, "not in valid range [0, inf)")
    if not percentage and not absolute:
        yield invalid_value(PERCENTAGE, percentage, f"cannot be zero at the same time as {ABSOLUTE}")
        yield invalid_value(ABSOLUTE, absolute, f"cannot be zero at the same time as {PERCENTAGE}")
