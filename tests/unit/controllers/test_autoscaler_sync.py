"""A manager that may die before or after any write: workloads end as their metrics ask, and none is left asleep."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from k8slite.clock import VirtualClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.horizontalpodautoscaler.sync import AutoscalerSync
from k8slite.errors import ApiError, conflict
from k8slite.kinds.autoscaling import HorizontalPodAutoscaler
from k8slite.kinds.base import ResourceType
from k8slite.kinds.resources import HORIZONTAL_POD_AUTOSCALERS

KEY = "default/web"
SCALE = "/apis/apps/v1/namespaces/default/deployments/web/scale"
QUEUE = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue"
LISTED = {"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True}]}
GROUP = {"preferredVersion": {"groupVersion": "apps/v1"}, "versions": [{"groupVersion": "apps/v1"}]}


class Died(BaseException):
    """The process is gone."""


class World:
    """An API with one autoscaler, its target and a queue; it also plays informers, events and the client."""

    def __init__(self, **spec: Any) -> None:
        target = {"type": "AverageValue", "averageValue": "1"}
        metric = {"type": "External", "external": {"metric": {"name": "queue"}, "target": target}}
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        whole = {"scaleTargetRef": reference, "maxReplicas": 9, "minReplicas": 0, "metrics": [metric], **spec}
        metadata = {"name": "web", "namespace": "default", "uid": "u", "generation": 1}
        self.autoscaler: dict[str, Any] = {"metadata": metadata, "spec": whole, "status": {"desiredReplicas": 0}}
        self.replicas = 1
        self.length: int | None = 1
        self.revision = self.scale_revision = 1
        self.writes = 0
        self.dies_at: tuple[int, bool] | None = None
        """The number of a write, and whether it is still done."""
        self.said: list[tuple[str, str]] = []
        self.scaled: list[int] = []
        self.clock = VirtualClock()
        self.config = ControllerManagerConfig(kubeconfig="/dev/null")
        self.client = self.informers = self

    def _write(self, change: Any) -> None:
        self.writes += 1
        dies, done = self.dies_at or (0, False)
        if dies != self.writes or done:
            change()
        if dies == self.writes:
            self.dies_at = None
            raise Died

    # The informers.
    def of(self, resource: ResourceType[Any]) -> Any:
        return self

    def add_handler(self, handler: Any) -> None:
        pass

    def get(self, key: str) -> HorizontalPodAutoscaler | None:
        document = copy.deepcopy(self.autoscaler)
        document["metadata"]["resourceVersion"] = str(self.revision)
        return HorizontalPodAutoscaler.model_validate(document) if key == KEY else None

    def list(self, namespace: str) -> list[Any]:
        return []

    async def wait_for_revision(self, key: str, revision: str) -> bool:
        return True

    def say(self, component: str, about: Any, reason: str, message: str, *, type: str = "Normal") -> None:
        self.said.append((reason, message))

    # The client.
    async def request(self, method: str, path: str, *, query: Any = None, body: Any = None) -> Any:
        await asyncio.sleep(0)
        if path == SCALE:
            if method == "PUT":
                if body["metadata"]["resourceVersion"] != str(self.scale_revision):
                    raise conflict("deployments", "web", "it was modified", group="apps")
                self._write(lambda: self._scale(body["spec"]["replicas"]))
            meta = {"name": "web", "resourceVersion": str(self.scale_revision)}
            status = {"replicas": self.replicas, "selector": "app=web"}
            return {"metadata": meta, "spec": {"replicas": self.replicas}, "status": status}
        if path == QUEUE:
            if self.length is None:
                raise ApiError(503, "ServiceUnavailable", "no luck")
            return {"items": [{"value": str(self.length), "timestamp": "2026-01-01T00:00:00Z"}]}
        return GROUP if path == "/apis/apps" else LISTED

    def _scale(self, replicas: int) -> None:
        self.replicas, self.scale_revision = replicas, self.scale_revision + 1
        self.scaled.append(replicas)

    async def patch(self, resource: Any, name: str, body: Any, *, namespace: str, subresource: str) -> Any:
        assert (resource, subresource) == (HORIZONTAL_POD_AUTOSCALERS, "status")
        if body["metadata"]["resourceVersion"] != str(self.revision):
            raise conflict("horizontalpodautoscalers", name, "it was modified", group="autoscaling")
        self._write(lambda: self._tell(body["status"]))
        return self.get(KEY)

    def _tell(self, status: dict[str, Any]) -> None:
        self.autoscaler["status"].update(status)
        self.revision += 1

    @property
    def condition(self) -> dict[str, str]:
        return {one["type"]: one["reason"] for one in self.autoscaler["status"].get("conditions", [])}


async def turns(world: World, manager: AutoscalerSync, number: int) -> AutoscalerSync:
    """Let it have its turns; who dies is followed by another, who knows nothing."""
    for _ in range(number):
        try:
            await manager.sync(KEY)
        except Died:
            manager = AutoscalerSync(world)  # type: ignore[arg-type]
        await world.clock.advance(20)
    return manager


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 4, 9, None]), st.none() | st.tuples(st.integers(1, 3), st.booleans())),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
@example(steps=[(3, None), (0, (1, True))])
@example(steps=[(3, None), (0, (2, False))])
@example(steps=[(3, None), (0, (2, True))])
@example(steps=[(0, None), (3, (1, True))])
def test_whenever_the_manager_dies_the_workload_ends_as_its_queue_asks(steps: list[Any]) -> None:
    async def play() -> None:
        world = World(behavior={"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [FREE]}})
        manager = AutoscalerSync(world)  # type: ignore[arg-type]
        for length, dies in steps:
            world.length = length
            world.dies_at = (world.writes + dies[0], dies[1]) if dies else None
            manager = await turns(world, manager, 5)
            if length is not None:
                manager = await turns(world, manager, 5)
                assert world.replicas == length
            world.dies_at = None
        world.length = 5
        await turns(world, manager, 8)
        assert world.replicas == 5
        assert world.condition["ScalingActive"] == "ValidMetricFound"
        assert all(0 <= number <= 9 for number in world.scaled)
        assert all(one != other for one, other in zip(world.scaled, world.scaled[1:], strict=False))

    asyncio.run(play())


FREE = {"type": "Percent", "value": 100, "periodSeconds": 1}


async def test_a_status_that_says_nothing_new_is_not_written() -> None:
    world = World()
    manager = await turns(world, AutoscalerSync(world), 2)  # type: ignore[arg-type]
    writes = world.writes
    await turns(world, manager, 3)
    assert world.writes == writes


async def test_a_scale_that_cannot_be_written_is_told() -> None:
    world = World()
    world.length = 4
    manager = AutoscalerSync(world)  # type: ignore[arg-type]
    ask = world.request

    async def refuse(method: str, path: str, **more: Any) -> Any:
        if method == "PUT":
            raise ApiError(403, "Forbidden", "not you")
        return await ask(method, path, **more)

    world.request = refuse  # type: ignore[method-assign]
    await manager.sync(KEY)
    name = "external metric queue(nil)"
    assert world.said == [("FailedRescale", f"New size: 4; reason: {name} above target; error: not you")]
    status = world.autoscaler["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (1, 0)
    assert world.condition["AbleToScale"] == "FailedUpdateScale"
    world.request = ask  # type: ignore[method-assign]
    await turns(world, manager, 1)
    assert world.replicas == 4 and world.condition["AbleToScale"] == "SucceededRescale"
    assert world.autoscaler["status"]["lastScaleTime"]


async def test_who_scales_meanwhile_is_heeded() -> None:
    """The scale that was read is no longer what it was: decide anew instead of writing over it."""
    world = World()
    world.length = 4
    manager = AutoscalerSync(world)  # type: ignore[arg-type]
    ask, asked = world.request, False

    async def meddle(method: str, path: str, **more: Any) -> Any:
        nonlocal asked
        if path == QUEUE and not asked:
            asked = True
            world.replicas, world.scale_revision = 0, world.scale_revision + 1
        return await ask(method, path, **more)

    world.request = meddle  # type: ignore[method-assign]
    assert (await manager.sync(KEY)).requeue_after == 0.0
    assert world.replicas == 0 and not world.said
    await manager.sync(KEY)
    assert world.condition["ScalingActive"] == "ScalingDisabled" and world.replicas == 0
