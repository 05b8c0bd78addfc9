"""Disruption budgets: which pods of a node would be lost at the cost of a budget.

A budget counts by node here: of the pods that a node might lose, the most important ones use up what the budget allows,
and those after them violate it. Which budgets select a pod is remembered by its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k8slite.kinds.base import LabelSelectorModel, Model, Object, ResourceType
from k8slite.selectors import LabelSelector, from_object

from ..columns import Placed


class BudgetSpec(Model):
    """Which pods."""

    selector: LabelSelectorModel | None = None


class BudgetStatus(Model):
    """How many of them may be lost now; `disrupted_pods` are on their way out already, and counted as lost."""

    disruptions_allowed: int = 0
    disrupted_pods: Mapping[str, Any] = {}


class Budget(Object):
    """`policy/v1.PodDisruptionBudget` as the scheduler sees it."""

    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = BudgetStatus()


#: Kinds of pods whose budgets are remembered.
REMEMBERED = 4096
_OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})

BUDGETS = ResourceType("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, Budget)


@dataclass(slots=True, eq=False)
class _Held:
    """A budget, the rows where some of its pods were seen, and the most of them that a row might lose."""

    budget: Budget
    selector: LabelSelector | None
    rows: set[int] = field(default_factory=set)
    most: int = 0

    def bears_on(self, before: Budget) -> bool:
        """Whether its pods are protected otherwise than before, as far as was ever asked."""
        now = self.budget
        if now.status.disrupted_pods.keys() != before.status.disrupted_pods.keys():
            return True
        allowed, was = now.status.disruptions_allowed, before.status.disruptions_allowed
        return allowed != was and min(allowed, was) < self.most


class Budgets:
    """All budgets. `stale` hears of the rows whose pods they may protect otherwise now; None stands for all rows."""

    def __init__(self) -> None:
        self._by_namespace: dict[str, dict[str, _Held]] = {}
        self._selecting: dict[tuple[str, frozenset[tuple[str, str]]], tuple[_Held, ...]] = {}
        self.stale: Callable[[Iterable[int] | None], None] = lambda rows: None

    def __len__(self) -> int:
        return len(self._by_namespace)

    def on_budget(self, old: Budget | None, new: Budget | None) -> None:
        """A budget changed."""
        about = new or old
        if about is None:
            return
        held = self._by_namespace.get(about.namespace, {}).get(about.name)
        if held is not None and new is not None and held.budget.spec.selector == new.spec.selector:
            before, held.budget = held.budget, new
            if held.bears_on(before):
                self.stale(held.rows)
            return
        if held is not None:
            others = self._by_namespace[about.namespace]
            del others[about.name]
            if not others:
                del self._by_namespace[about.namespace]
        if new is not None:
            self._by_namespace.setdefault(new.namespace, {})[new.name] = _Held(new, _selector(new))
        self._selecting.clear()
        self.stale(None)

    def violated(self, victims: Sequence[Placed]) -> list[bool]:
        """Of pods that a node might lose, the most important first: whose loss would violate a budget."""
        left: dict[_Held, int] = {}
        found = []
        for placed in victims:
            violated = False
            for held in self._held(placed):
                status = held.budget.status
                if placed.pod.name in status.disrupted_pods:
                    continue
                left[held] = left.get(held, status.disruptions_allowed) - 1
                violated = violated or left[held] < 0
            found.append(violated)
        for held, rest in left.items():
            held.rows.add(victims[0].row)
            held.most = max(held.most, held.budget.status.disruptions_allowed - rest)
        return found

    def _held(self, placed: Placed) -> tuple[_Held, ...]:
        key = placed.kind.namespace, placed.kind.labels
        found = self._selecting.get(key)
        if found is None:
            if len(self._selecting) >= REMEMBERED:
                self._selecting.clear()
            labels = placed.pod.metadata.labels
            found = self._selecting[key] = tuple(
                held
                for held in self._by_namespace.get(placed.pod.namespace, {}).values()
                if labels and held.selector and held.selector.matches(labels)
            )
        return found


def _selector(budget: Budget) -> LabelSelector | None:
    """What it selects pods by; one that says nothing, or what cannot be, selects none."""
    selector = budget.spec.selector
    if selector is None or any(item.operator not in _OPERATORS for item in selector.match_expressions):
        return None
    return from_object(selector.to_wire())
