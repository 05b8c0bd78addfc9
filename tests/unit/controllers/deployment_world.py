"""A cluster of one Deployment: its users, its kubelets, and what must hold whenever one of both controllers writes."""

from __future__ import annotations

import dataclasses
from functools import partial
from random import Random
from typing import Any

import aiohttp

from k8slite.clock import timestamp
from k8slite.controller import TryAgain
from k8slite.controllers.deployment import template
from k8slite.controllers.deployment.scaling import Bounds
from k8slite.controllers.deployment.sync import DeploymentSync
from k8slite.controllers.replicaset.sync import Replication
from k8slite.errors import ApiError
from k8slite.kinds.apps import Deployment
from k8slite.kinds.resources import REPLICA_SETS
from k8slite.kinds.template import RawTemplate

from .fake_api import Crash, FakeApi, FakeInformers, Fault, context

LABELS = {"app": "web"}
MOST = 6


def pods_of(image: int) -> dict[str, Any]:
    return {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": f"web:{image}"}]}}


def deployment(
    *, replicas: int, recreate: bool, surge: int | str, unavailable: int | str, seconds: int, taken: bool
) -> dict[str, Any]:
    """`taken`: somebody else's ReplicaSet has the name that the second template would get."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {
        "metadata": {"name": "web", "annotations": {"taken": "yes"} if taken else {}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": pods_of(0),
            "strategy": {"type": "Recreate"} if recreate else rolling,
            "minReadySeconds": seconds,
            "revisionHistoryLimit": 2,
        },
    }


class World:
    """Steps are what users and kubelets do, and looks of the controllers; `calm` tells that no pod has got worse."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.api = FakeApi()
        self.api.put("deployments", document)
        if document["metadata"]["annotations"]:
            hash_ = template.template_hash(RawTemplate(pods_of(1)), collisions=0)
            spec = {"selector": {"matchLabels": {"a": "b"}}, "template": {}, "replicas": 0}
            self.api.put("replicasets", {"metadata": {"name": f"web-{hash_}"}, "spec": spec})
        self.api.watchers.append(self.judge)
        self.calm = True
        self.scaled = False
        self.random = Random(1)
        self.most = self.least = 0
        self.sizes: dict[str, int] = {}
        """The largest size that each ReplicaSet has had."""
        self.note()
        self.start()

    def start(self) -> None:
        self.context = dataclasses.replace(context(self.api), random=self.random)
        self.deployments = DeploymentSync(self.context)
        self.replicasets: Any = Replication(
            self.context, REPLICA_SETS, view=lambda item: item, component="replicaset-controller"
        )

    def catch_up(self, plural: str = "") -> None:
        informers: FakeInformers = self.context.informers  # type: ignore[assignment]
        informers.catch_up(plural)

    @property
    def document(self) -> dict[str, Any]:
        return self.api.objects["deployments", "web"]

    @property
    def model(self) -> Deployment:
        return Deployment.model_validate(self.document)

    def sets(self) -> list[dict[str, Any]]:
        """The Deployment's own."""
        return [rs for rs in self.api.of("replicasets").values() if rs["metadata"].get("ownerReferences")]

    def pods(self) -> list[dict[str, Any]]:
        return sorted(self.api.of("pods").values(), key=lambda pod: int(pod["metadata"]["uid"].partition("-")[2]))

    def ready(self) -> list[str]:
        """Pods that serve and are not about to go."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods()
            if pod["status"].get("conditions") and "deletionTimestamp" not in pod["metadata"]
        ]

    def active(self, owner: str) -> list[dict[str, Any]]:
        """A ReplicaSet's pods that count."""
        return [
            pod
            for pod in self.pods()
            if pod["metadata"]["ownerReferences"][0]["name"] == owner
            and "deletionTimestamp" not in pod["metadata"]
            and pod["status"]["phase"] not in ("Failed", "Succeeded")
        ]

    async def turn(self) -> None:
        """The controllers see everything, and act; no kubelet does."""
        self.catch_up()
        await self.look("deployments")
        await self.look("replicasets")

    # What must hold.

    def note(self) -> None:
        """The limits of any specification so far: a controller may still act on an older one."""
        model, first = self.model, not self.most
        bounds = Bounds.of(model)
        self.most = max(self.most, model.spec.replicas + bounds.surge)
        least = model.spec.replicas - bounds.unavailable
        self.least = least if first else min(self.least, least)

    def judge(self, verb: str, plural: str, document: dict[str, Any]) -> None:
        recreates = self.model.spec.strategy.type == "Recreate"
        if verb == "create" and (plural, document["metadata"]["name"]) in self.api.objects:
            return  # It is asked for again because its answer was lost, and refused.
        if plural == "replicasets" and "replicas" in document.get("spec", {}):
            name, size = document["metadata"]["name"], document["spec"]["replicas"]
            others = {rs["metadata"]["name"]: rs["spec"]["replicas"] for rs in self.sets()}
            before = others.pop(name, 0)
            if size > before:
                assert sum(others.values()) + size <= self.most, "more than what is wanted and the surge"
                assert not recreates or not sum(others.values())
            if size < before and not recreates and not self.scaled:
                self.judge_shrinking(name, size)
            self.sizes[name] = max(size, self.sizes.get(name, 0))
        if plural == "pods" and verb == "create":
            owner = document["metadata"]["ownerReferences"][0]["name"]
            assert len(self.active(owner)) < self.sizes[owner], "a pod made twice"
        if plural == "pods" and verb == "create" and recreates:
            image = document["spec"]["containers"][0]["image"]
            rest = [pod for pod in self.pods() if pod["status"]["phase"] not in ("Failed", "Succeeded")]
            assert {pod["spec"]["containers"][0]["image"] for pod in rest} <= {image}, "old and new together"
        if plural == "pods" and verb == "delete" and "deletionTimestamp" not in document["metadata"]:
            owner = document["metadata"]["ownerReferences"][0]["name"]
            seen = self.context.informers.of(REPLICA_SETS).get(f"default/{owner}")
            if seen is not None and self.calm:
                assert len(self.active(owner)) > seen.spec.replicas, "one too many deleted"

    def judge_shrinking(self, name: str, size: int) -> None:
        """Of the pods that are known to serve, enough stay."""
        known = self.context.informers.of(REPLICA_SETS).list("default")
        serving = {rs.name: rs.status.available_replicas for rs in known}
        before = {rs["metadata"]["name"]: rs["spec"]["replicas"] for rs in self.sets()}
        stay, were = (
            sum(min(count, serving.get(one, 0)) for one, count in counts.items())
            for counts in (before | {name: size}, before)
        )
        assert stay >= min(were, self.least), "fewer serve than must"

    # What happens.

    def change(self, **spec: Any) -> None:
        stored = self.document
        metadata = {**stored["metadata"], "generation": stored["metadata"]["generation"] + 1}
        self.api.put("deployments", {**stored, "metadata": metadata, "spec": {**stored["spec"], **spec}})
        self.scaled = self.scaled or "replicas" in spec
        self.note()

    def kubelet(self, number: int, what: str) -> None:
        """A pod starts, becomes ready or unready, ends; or what is to go is gone."""
        pods = self.pods()
        if number >= len(pods):
            return
        pod = pods[number]
        name = pod["metadata"]["name"]
        if "deletionTimestamp" in pod["metadata"]:
            self.api.remove("pods", name)
            return
        if pod["status"]["phase"] in ("Failed", "Succeeded") or (what == "ready" and name in self.ready()):
            return
        self.calm = self.calm and what == "ready"
        status: dict[str, Any] = {"phase": what if what in ("Failed", "Succeeded") else "Running", "conditions": []}
        if what == "ready":
            moment = timestamp(self.api.clock.now())
            status["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": moment}]
        spec = {**pod["spec"], "nodeName": f"n{number % 3}"}
        self.api.put("pods", {**pod, "spec": spec, "status": status})

    def user_deletes(self, number: int) -> None:
        pods = self.pods()
        if number < len(pods):
            pod = pods[number]
            gone = {**pod["metadata"], "deletionTimestamp": timestamp(self.api.clock.now())}
            self.api.put("pods", {**pod, "metadata": gone})
            self.calm = False

    async def look(self, kind: str, faults: dict[int, Fault] | None = None) -> None:
        syncs = [partial(self.deployments.sync, "default/web")]
        if kind == "replicasets":
            names = [rs["metadata"]["name"] for rs in self.sets()]
            syncs = [partial(self.replicasets.sync, f"default/{name}") for name in names]
        self.api.restart(faults)
        for sync in syncs:
            try:
                await sync()
            except Crash:
                self.api.restart()
                self.start()
                return
            except (ApiError, TryAgain, OSError, aiohttp.ClientError):
                pass

    async def settle(self) -> None:
        """Nothing goes wrong any more: the Deployment must come to what its spec says."""
        self.change(paused=False)
        for _ in range(60):
            before = self.versions()
            await self.turn()
            for number in reversed(range(len(self.pods()))):
                self.kubelet(number, "ready")
            await self.api.clock.advance(5)
            if before == self.versions():
                return
        raise AssertionError("it never comes to rest")

    def versions(self) -> dict[tuple[str, str], str]:
        return {key: document["metadata"]["resourceVersion"] for key, document in self.api.objects.items()}
