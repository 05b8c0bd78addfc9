"""Keeps the status of disruption budgets, and takes back what pods say of a disruption that never came."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite import selectors
from k8slite.client import Patch
from k8slite.clock import timestamp
from k8slite.controller import DONE, Controller, Result, TryAgain
from k8slite.errors import ApiError
from k8slite.kinds.base import Object
from k8slite.selectors import LabelSelector

from ..context import Context, Runnable
from ..pods import PODS, Pod
from .budget import BUDGETS, Budget, BudgetStatus
from .plan import Expected, counts_as, expected, failed, in_words, needs_scale, plan, stale_in
from .scales import NeverScaledError, NoScaleError, Scales

COMPONENT = "controllermanager"
REST = 0.1
"""Seconds between two looks at one budget: pods come and go in bursts, and each look may write a status."""
_UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: %s) were found to be unmanaged. As a result, the status of "
    "the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please "
    'set ".spec.minAvailable" field of the PDB to an integer value.'
)


def build(context: Context) -> Sequence[Runnable]:
    """The controller of budgets, and that of pods."""
    disruption = Disruption(context)
    return [disruption.budgets, disruption.pods]


class Disruption:
    """Syncs budgets, and pods that say that they are being disrupted."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scales = Scales(context)
        self._budgets = context.informers.of(BUDGETS)
        self._pods = context.informers.of(PODS)
        self._selectors: dict[str, tuple[Budget, LabelSelector | None]] = {}
        """By the budget's key: a pod's every change is held against all budgets of its namespace."""
        self.budgets = Controller(
            "disruption", self.sync, clock=context.clock, workers=context.config.workers, rest=REST
        )
        self.pods = Controller("stale_pod_disruption", self.sync_pod, clock=context.clock, workers=1)
        self._budgets.add_handler(self._budget_changed)
        self._pods.add_handler(self._pod_changed)
        self._scales.tell(self._scaled)

    def _budget_changed(self, old: Budget | None, new: Budget | None) -> None:
        if new is not None:
            self.budgets.queue.add(new.key)
        elif old is not None:
            self._selectors.pop(old.key, None)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        item = new or old
        assert item is not None  # an informer tells of something
        if old is None or new is None or counts_as(old) != counts_as(new):
            for budget in self._budgets.list(item.namespace):
                if any(pod is not None and self._selects(budget, pod) for pod in (old, new)):
                    self.budgets.queue.add(budget.key)
        if new is not None and (left := stale_in(new, now=self._context.clock.now())) is not None:
            self.pods.queue.add_after(new.key, left + 0.1)

    def _scaled(self, namespace: str) -> None:
        for budget in self._budgets.list(namespace):
            if needs_scale(budget.spec):
                self.budgets.queue.add(budget.key)

    async def sync(self, key: str) -> Result:
        """One budget."""
        budget = self._budgets.get(key)
        if budget is None:
            return DONE
        now = self._context.clock.now()
        pods = [pod for pod in self._pods.list(budget.namespace) if self._selects(budget, pod)]
        if not pods:
            self._say(budget, "NoPods", "No matching pods found", warn=False)
        try:
            wanted = await self._expected(budget, pods)
        except (NoScaleError, ValueError, ApiError) as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self._say(budget, "CalculateExpectedPodCountFailed", message)
            await self._write(budget, failed(budget, str(error), now=now))
            if isinstance(error, NeverScaledError):
                return DONE
            raise TryAgain(message) from error  # owners, their kinds and the right to ask them come later at times
        decided = plan(budget=budget, pods=pods, expected=wanted, now=now)
        for pod in decided.lost:
            self._say(pod, "NotDeleted", f"Pod was expected by PDB {budget.key} to be deleted but it wasn't")
        await self._write(budget, decided.status)
        return Result(decided.requeue_after)

    async def _expected(self, budget: Budget, pods: Sequence[Pod]) -> Expected:
        if not needs_scale(budget.spec):
            return expected(budget.spec, pods=len(pods), scale=0)
        scale = await self._scales.of(pods)
        if scale.unmanaged:
            self._say(budget, "UnmanagedPods", _UNMANAGED % in_words(budget.spec.selector or {}))
        return expected(budget.spec, pods=len(pods), scale=scale.replicas)

    async def _write(self, budget: Budget, status: BudgetStatus) -> None:
        """Write on condition of what was seen: evictions spend what they find in the status."""
        if status == budget.status:
            return
        wire = status.to_wire()
        # What a merge leaves in place must be told to go.
        gone = dict.fromkeys(budget.status.disrupted_pods.keys() - status.disrupted_pods.keys())
        wire["disruptedPods"] = {**gone, **{name: timestamp(at) for name, at in status.disrupted_pods.items()}}
        metadata = {"uid": budget.uid, "resourceVersion": budget.metadata.resource_version}
        try:
            await self._context.client.patch(
                BUDGETS,
                budget.name,
                {"metadata": metadata, "status": wire},
                namespace=budget.namespace,
                subresource="status",
            )
        except ApiError as error:
            if error.code != 404:
                raise

    async def sync_pod(self, key: str) -> Result:
        """One pod: a condition that is stale becomes False."""
        pod = self._pods.get(key)
        now = self._context.clock.now()
        left = stale_in(pod, now=now) if pod is not None else None
        if pod is None or left is None:
            return DONE
        if left > 0:
            return Result(left + 0.1)
        condition = {
            "type": "DisruptionTarget",
            "status": "False",
            "lastTransitionTime": timestamp(now),
            "reason": None,
            "message": None,
        }
        # Of this state only: the pod may have been chosen again a moment ago.
        metadata = {"uid": pod.uid, "resourceVersion": pod.metadata.resource_version}
        body = {"metadata": metadata, "status": {"conditions": [condition]}}
        try:
            await self._context.client.patch(
                PODS, pod.name, body, namespace=pod.namespace, subresource="status", patch=Patch.STRATEGIC
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        return DONE

    def _selects(self, budget: Budget, pod: Pod) -> bool:
        """An empty selector selects all pods of the namespace, none at all no pod."""
        known = self._selectors.get(budget.key)
        if known is None or known[0] is not budget:
            known = self._selectors[budget.key] = (budget, selectors.from_object(budget.spec.selector))
        selector = known[1]
        return selector is not None and selector.matches(pod.metadata.labels)

    def _say(self, about: Object, reason: str, message: str, *, warn: bool = True) -> None:
        self._context.say(COMPONENT, about, reason, message, type="Warning" if warn else "Normal")
