"""The sync of DaemonSets over an API that fails, caches that lag and a manager that dies at any write."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import aiohttp
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.clock import timestamp
from k8slite.controller import TryAgain
from k8slite.controllers.daemonset.sync import DaemonSetSync
from k8slite.errors import ApiError

from .builders import daemonset, template
from .fake_api import Crash, FakeApi, Fault, context

KEY = "default/agent"
EXPECTED = (ApiError, TryAgain, aiohttp.ClientError)


class World:
    """Nodes, a DaemonSet, kubelets and a scheduler in one, and a manager that is there or not."""

    def __init__(self, nodes: int, limits: dict[str, int]) -> None:
        self.api = FakeApi()
        self.names = [f"n{number}" for number in range(nodes)]
        self.limits = limits
        for name in self.names:
            self.api.put("nodes", {"metadata": {"name": name}, "spec": {}})
        document = daemonset(**limits).model_dump(by_alias=True, mode="json", exclude_unset=True)
        self.api.put("daemonsets", document)
        self.api.watchers.append(self.look)
        self.start({})

    def start(self, faults: dict[int, Fault]) -> None:
        self.api.restart(faults)
        self.context = context(self.api)
        self.manager = DaemonSetSync(self.context)

    def pods(self) -> list[dict[str, Any]]:
        return list(self.api.of("pods").values())

    def look(self, verb: str, plural: str, document: dict[str, Any]) -> None:
        """Before each write: a pod is made only where there is room for it."""
        if plural != "pods" or verb != "create" or document["metadata"]["name"] in self.api.of("pods"):
            return
        there = [pod for pod in self.pods() if target(pod) == target(document)]
        staying = [pod for pod in there if "deletionTimestamp" not in pod["metadata"]]
        assert len(staying) <= 1 if self.limits.get("surge") else not there

    def without(self) -> int:
        served = {target(pod) for pod in self.pods() if ready(pod) and "deletionTimestamp" not in pod["metadata"]}
        return len(set(self.names) - served)

    def serve(self) -> None:
        """All that kubelets and the scheduler have to do."""
        for pod in self.pods():
            if "deletionTimestamp" in pod["metadata"]:
                self.api.remove("pods", pod["metadata"]["name"])
            elif not ready(pod):
                since = timestamp(self.api.clock.now())
                conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": since}]
                spec = pod["spec"] | {"nodeName": target(pod)}
                self.api.put("pods", pod | {"spec": spec, "status": {"phase": "Running", "conditions": conditions}})

    def update(self, version: str) -> None:
        found = self.api.of("daemonsets")["agent"]
        generation = found["metadata"]["generation"] + 1
        spec = found["spec"] | {"template": template(version)}
        self.api.put("daemonsets", found | {"metadata": found["metadata"] | {"generation": generation}, "spec": spec})

    def sync(self) -> bool:
        """Whether the manager lived through it without a failure."""
        try:
            asyncio.run(self.manager.sync(KEY))  # type: ignore[arg-type]
        except Crash:
            self.start({})
            return False
        except EXPECTED:
            return False
        return True

    def versions(self) -> dict[tuple[str, str], str]:
        return {key: document["metadata"]["resourceVersion"] for key, document in self.api.objects.items()}

    def settle(self) -> None:
        for _ in range(60):
            self.context.informers.catch_up()  # type: ignore[attr-defined]
            before = self.versions()
            fine = self.sync()
            self.serve()
            if fine and self.versions() == before:
                return
        raise AssertionError("it does not end")


def target(pod: dict[str, Any]) -> str:
    rule = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    name: str = rule["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
    return name


def ready(pod: dict[str, Any]) -> bool:
    return bool((pod.get("status") or {}).get("conditions"))


faults = st.dictionaries(st.integers(0, 14), st.sampled_from(Fault), max_size=3)
rounds = st.lists(st.tuples(st.sampled_from(["v1", "v2", "v3"]), faults, st.integers(1, 5)), min_size=1, max_size=4)


@settings(max_examples=100)
@given(
    nodes=st.integers(1, 5),
    limits=st.sampled_from([{"unavailable": 1}, {"unavailable": 2}, {"surge": 1}, {"surge": 2}]),
    rounds=rounds,
    data=st.data(),
)
def test_whatever_goes_wrong_every_node_has_one_pod_in_the_end(
    nodes: int, limits: dict[str, int], rounds: list[tuple[str, dict[int, Fault], int]], data: st.DataObject
) -> None:
    world = World(nodes, limits)
    for version, broken, turns in rounds:
        world.update(version)
        world.start(broken)
        for _ in range(turns):
            before = world.without()
            world.sync()
            assert world.without() <= max(before, limits.get("unavailable", 0))
            served, seen = data.draw(st.booleans()), data.draw(st.booleans())
            if served:
                world.serve()
            if served or seen:  # what lags is what the manager did itself
                world.context.informers.catch_up()  # type: ignore[attr-defined]
    world.start({})
    world.settle()
    there = world.pods()
    assert Counter(map(target, there)) == Counter(world.names)
    found = world.api.of("daemonsets")["agent"]
    images = {pod["spec"]["containers"][0]["image"] for pod in there}
    assert images == {found["spec"]["template"]["spec"]["containers"][0]["image"]}
    status = found["status"]
    assert status["updatedNumberScheduled"] == status["numberAvailable"] == nodes
    assert status["observedGeneration"] == found["metadata"]["generation"]
    kept = world.api.of("controllerrevisions").values()
    held = [one["data"]["spec"]["template"]["spec"]["containers"][0]["image"] for one in kept]
    assert sorted(held) == sorted(set(held)), "one revision for each template"
    assert set(held) <= {"web:1", *(version for version, _, _ in rounds)}


def test_a_refused_batch_is_the_last_one() -> None:
    world = World(9, {"unavailable": 1})
    world.start({2: Fault.REFUSED})  # after the revision and the first pod
    assert not world.sync()
    assert len(world.pods()) == 2, "of the second batch one was made, and no third one was begun"
    world.settle()
    assert len(world.pods()) == 9
