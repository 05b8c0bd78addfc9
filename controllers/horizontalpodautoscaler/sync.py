"""Looks at every autoscaler each sync period, and scales.

The autoscalers of a namespace have their turns in the same moments, so that they can share what is asked; namespaces
are spread over the period. Without autoscalers nothing is asked at all.

A crash between scaling and telling of it costs an event. What must not be lost is told first: that it was the
autoscaler who took its workload to zero, for nobody would take it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.autoscaling import HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, MetricSpec
from k8slite.kinds.base import split_key
from k8slite.kinds.resources import HORIZONTAL_POD_AUTOSCALERS
from k8slite.selectors import SelectorError, parse_label_selector

from ..context import Context, Runnable
from ..discovery import Mapper
from ..pods import PODS, Pod
from . import metrics, plan
from .asking import Metrics
from .judging import Answer, Failure, Unreachable, Verdict, judge
from .plan import Decision, Said
from .pods import Delays
from .proposals import Rules, Workload
from .rates import History
from .readings import name_of
from .selections import Selections
from .targets import Moved, NoTarget, Scale, Targets

COMPONENT = "horizontal-pod-autoscaler"
SOON = 0.1
"""A part of the period: whose turn comes sooner than that after another look waits for the next one."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [AutoscalerSync(context).controller]


class _Unselected(Exception):
    """The pods of a workload cannot be told: an event, and what the condition says."""

    def __init__(self, event: Said, told: Said) -> None:
        super().__init__(event.message)
        self.event = event
        self.told = told


@dataclass(slots=True)
class _Known:
    """What is remembered of an autoscaler between its turns."""

    uid: str
    history: History
    written: str = ""
    """The revision of its last status of ours."""


class AutoscalerSync:
    """Syncs HorizontalPodAutoscalers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        config = context.config
        self._period = config.horizontal_pod_autoscaler_sync_period
        self._delays = Delays(
            timedelta(seconds=config.horizontal_pod_autoscaler_cpu_initialization_period),
            timedelta(seconds=config.horizontal_pod_autoscaler_initial_readiness_delay),
        )
        self._autoscalers: Informer[HorizontalPodAutoscaler] = context.informers.of(HORIZONTAL_POD_AUTOSCALERS)
        self._pods: Informer[Pod] = context.informers.of(PODS)
        mapper = Mapper(context.client)
        self._targets = Targets(context.client, mapper)
        self._metrics = Metrics(context.client, mapper, clock=context.clock, fresh=self._period / 4)
        self._selections = Selections()
        self._known: dict[str, _Known] = {}
        self.controller = Controller(
            "horizontalpodautoscaler",
            self.sync,
            clock=context.clock,
            workers=config.concurrent_horizontal_pod_autoscaler_syncs,
        )
        self._autoscalers.add_handler(self._autoscaler_changed)
        self._pods.add_handler(self._selections.pod_changed)

    def _autoscaler_changed(self, old: HorizontalPodAutoscaler | None, new: HorizontalPodAutoscaler | None) -> None:
        """Its own status is no reason to look again."""
        if old is None or new is None:
            metrics.AUTOSCALERS.set(len(self._autoscalers.list()))
        if (item := new or old) and (old is None or new is None or old.spec != new.spec):
            self.controller.queue.add(item.key)

    async def sync(self, key: str) -> Result:
        """One autoscaler."""
        await self._settle(key)
        found = self._autoscalers.get(key)
        if found is None:
            self._forget(key)
            return DONE
        with metrics.reconciliation(self._context.clock) as ended:
            try:
                scale = await self._targets.read(found.spec.scale_target_ref, namespace=found.namespace)
            except (NoTarget, ApiError, aiohttp.ClientError, OSError) as error:
                ended.error = "internal"
                if isinstance(error, NoTarget):
                    ended.error = "spec"
                    self._selections.forget(key)
                self._say(found, Said("FailedGetScale", _text(error)))
                await self._write(found, plan.with_conditions(found, [plan.no_scale(_text(error))], now=self._now()))
                return self._next(found.namespace)
            decision = await self._decide(found, scale)
            ended.error = "internal" if decision.said else "none"
            try:
                await self._carry_out(found, scale, decision)
            except Moved:
                return Result(0.0)
            ended.action = metrics.action(scale.replicas, decision.desired)
            if decision.desired is not None:
                metrics.DESIRED.labels(*split_key(key)).set(decision.desired)
        return self._next(found.namespace)

    def _forget(self, key: str) -> None:
        """The autoscaler is gone."""
        self._known.pop(key, None)
        self._selections.forget(key)
        with contextlib.suppress(KeyError):
            metrics.DESIRED.remove(*split_key(key))

    async def _settle(self, key: str) -> None:
        """Wait until the cache shows the status that was written last: decisions hang on its conditions."""
        known = self._known.get(key)
        if known is not None and known.written:
            await self._autoscalers.wait_for_revision(key, known.written)
            known.written = ""

    def _next(self, namespace: str) -> Result:
        """When the namespace has its next turn."""
        phase = zlib.crc32(namespace.encode()) / (1 << 32) * self._period
        left = self._period - (self._context.clock.monotonic() - phase) % self._period
        return Result(left if left > SOON * self._period else left + self._period)

    async def _decide(self, found: HorizontalPodAutoscaler, scale: Scale) -> Decision:
        at = self._context.clock.monotonic()
        known = self._known.get(found.key)
        if known is None or known.uid != found.uid:
            known = self._known[found.key] = _Known(found.uid, History.begin(scale.replicas, at=at))
        seen = plan.look(found, replicas=scale.replicas)
        if not seen.measure:
            return plan.without_metrics(seen, replicas=scale.replicas, history=known.history)
        try:
            pods = self._select(found, scale.selector)
        except _Unselected as problem:
            self._say(found, problem.event)
            return plan.unselected(problem.told, why=problem.event.message, history=known.history)
        verdicts = await self._judge(found, scale, pods)
        return plan.by_metrics(
            found,
            verdicts,
            replicas=scale.replicas,
            history=known.history,
            window=self._context.config.horizontal_pod_autoscaler_downscale_stabilization,
            at=at,
        )

    def _select(self, found: HorizontalPodAutoscaler, text: str) -> Sequence[Pod]:
        """The pods of the workload. Raises _Unselected."""
        if not text:
            missing = "the HPA target's scale is missing a selector"
            raise _Unselected(Said("SelectorRequired", "selector is required"), Said("InvalidSelector", missing))
        try:
            selector = parse_label_selector(text)
        except SelectorError as error:
            said = Said(
                "InvalidSelector", f"couldn't convert selector into a corresponding internal selector object: {error}"
            )
            raise _Unselected(said, said) from error
        if not self._selections.knows(found.key, selector):
            self._selections.register(found.key, selector, self._pods.list(found.namespace))
        keys = self._selections.pods(found.key)
        holders = self._selections.holders(keys)
        if len(holders) > 1:
            said = Said(
                "AmbiguousSelector", f"pods by selector {text} are controlled by multiple HPAs: [{' '.join(holders)}]"
            )
            raise _Unselected(said, said)
        return [pod for key in keys if (pod := self._pods.get(key)) is not None]

    async def _judge(
        self, found: HorizontalPodAutoscaler, scale: Scale, pods: Sequence[Pod]
    ) -> list[Verdict | Failure]:
        namespace = found.namespace
        held = self._selections.held(namespace)
        share = bool(held) and 2 * held >= len(self._pods.list(namespace))
        usual = self._context.config.horizontal_pod_autoscaler_tolerance
        rules = Rules(plan.tolerances(found.spec, usual=usual), self._delays)
        workload = Workload(pods, scale.replicas, scale.status_replicas)
        names = frozenset(pod.name for pod in pods)

        async def verdict(metric: MetricSpec) -> Verdict | Failure:
            began = self._context.clock.monotonic()
            answer = await self._metrics.ask(metric, namespace=namespace, selector=scale.selector, share=share)
            if share and metric.type in ("Resource", "ContainerResource"):
                answer = _own(answer, names)
            one = judge(metric, answer, workload=workload, rules=rules, namespace=namespace, now=self._now())
            proposed, error = (None, "internal") if isinstance(one, Failure) else (one.replicas, "none")
            action = metrics.action(scale.replicas, proposed)
            seconds = self._context.clock.monotonic() - began
            metrics.computed(metric.type, action=action, error=error, seconds=seconds)
            return one

        return await asyncio.gather(*(verdict(metric) for metric in found.spec.metrics))

    async def _carry_out(self, found: HorizontalPodAutoscaler, scale: Scale, decision: Decision) -> None:
        for said in decision.said:
            self._say(found, said)
        known = self._known[found.key]
        if decision.rescale and decision.desired is not None:
            if decision.to_zero:
                intent = plan.with_conditions(found, [plan.zero_told(True)], now=self._now())
                found = await self._write(found, intent)
            size = f"New size: {decision.desired}; reason: {decision.reason}"
            try:
                await self._targets.write(scale, decision.desired)
            except (ApiError, aiohttp.ClientError, OSError) as error:
                self._say(found, Said("FailedRescale", f"{size}; error: {_text(error)}"))
                await self._tell(found, scale, decision, [plan.not_rescaled(_text(error))], scaled=False)
                return
            self._context.say(COMPONENT, found, "SuccessfulRescale", size)
            at = self._context.clock.monotonic()
            known.history = decision.history.scaled(scale.replicas, decision.desired, at=at)
            await self._tell(found, scale, decision, plan.rescaled(decision), scaled=True)
            return
        known.history = decision.history
        await self._tell(found, scale, decision, [], scaled=False)

    async def _tell(
        self,
        found: HorizontalPodAutoscaler,
        scale: Scale,
        decision: Decision,
        told: Sequence[plan.Told],
        *,
        scaled: bool,
    ) -> None:
        status = plan.status(found, decision, told, replicas=scale.replicas, scaled=scaled, now=self._now())
        await self._write(found, status)

    async def _write(
        self, found: HorizontalPodAutoscaler, status: HorizontalPodAutoscalerStatus
    ) -> HorizontalPodAutoscaler:
        """Write a status if it says something new. Raises ApiError if there is a newer spec than was read."""
        if status == found.status:
            return found
        metadata = {"uid": found.uid, "resourceVersion": found.metadata.resource_version}
        try:
            written = await self._context.client.patch(
                HORIZONTAL_POD_AUTOSCALERS,
                found.name,
                {"metadata": metadata, "status": status.to_wire()},
                namespace=found.namespace,
                subresource="status",
            )
        except ApiError as error:
            if error.code == 404:
                return found
            if error.reason != "Conflict":
                self._say(found, Said("FailedUpdateStatus", error.message))
            raise
        if (known := self._known.get(found.key)) is not None:
            known.written = written.metadata.resource_version
        return written

    def _say(self, found: HorizontalPodAutoscaler, said: Said) -> None:
        self._context.say(COMPONENT, found, said.reason, said.message, type="Warning")

    def _now(self) -> datetime:
        return self._context.clock.now()


def _own(answer: Answer, names: frozenset[str]) -> Answer:
    """Of an answer about a whole namespace, what is about these pods."""
    if isinstance(answer, Unreachable):
        return answer
    return [item for item in answer if name_of(item) in names]


def _text(error: Exception) -> str:
    return error.message if isinstance(error, ApiError) else str(error) or type(error).__name__
