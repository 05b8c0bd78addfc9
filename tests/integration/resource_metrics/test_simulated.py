"""What simulated pods use, as the metrics API tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k8slite.quantity import parse

from .conftest import Metered, metered, until

CPU, MEMORY = "k8slite.io/cpu-usage", "k8slite.io/memory-usage"


def use(item: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Cores and mebibytes of each container."""
    return {
        each["name"]: (round(float(parse(each["usage"]["cpu"])), 2), float(parse(each["usage"]["memory"])) / (1 << 20))
        for each in item["containers"]
    }


async def test_pods_use_what_their_annotations_say(world: Metered) -> None:
    await world.pod("said", annotations={CPU: "250m", MEMORY: "64Mi"}, labels={"app": "a"})
    await world.pod(
        "two",
        node="sim-1",
        containers=[
            {"name": "one", "image": "x", "resources": {"requests": {"cpu": "400m", "memory": "32Mi"}}},
            {"name": "other", "image": "x"},
        ],
        annotations={"cpu-usage.k8slite.io/other": "1"},
    )
    await world.running("said", "two")

    found = await world.items("/namespaces/default/pods")
    assert use(found["said"]) == {"main": (0.25, 64)}
    assert use(found["two"]) == {"one": (0.2, 16), "other": (1.0, 1)}
    said = found["said"]
    assert said["kind"] == "PodMetrics" and said["apiVersion"] == "metrics.k8s.io/v1beta1"
    assert said["metadata"]["labels"] == {"app": "a"} and said["metadata"]["namespace"] == "default"
    assert 0.9 <= float(said["window"].removesuffix("s")) <= 30

    nodes = await world.items("/nodes")
    assert nodes.keys() == {"sim-0", "sim-1"}
    assert round(float(parse(nodes["sim-0"]["usage"]["cpu"])), 2) == 0.3
    assert round(float(parse(nodes["sim-1"]["usage"]["cpu"])), 2) == 1.25


async def test_a_change_shows_within_moments(world: Metered) -> None:
    await world.pod("said", annotations={CPU: "100m"})
    await world.running("said")
    assert use(await world.get("/namespaces/default/pods/said"))["main"][0] == 0.1
    await world.http.patch(
        "/api/v1/namespaces/default/pods/said",
        headers={"content-type": "application/merge-patch+json"},
        json={"metadata": {"annotations": {CPU: "900m"}}},
    )

    async def changed() -> bool:
        return use(await world.get("/namespaces/default/pods/said"))["main"][0] > 0.85

    await until(changed)


async def test_stages_say_what_pods_use(tmp_path: Path) -> None:
    stages = "usage:\n- match: {selector: app=web}\n  cpu: 300m\n  memory: 10Mi\n- cpu: 20m\n"
    async with metered(tmp_path, nodes=1, stages=stages) as world:
        await world.pod("web", labels={"app": "web"})
        await world.pod("other")
        await world.running("web", "other")
        found = await world.items("/namespaces/default/pods")
        assert use(found["web"]) == {"main": (0.3, 10)}
        assert use(found["other"]) == {"main": (0.02, 1)}
