"""Random histories of a StatefulSet: the real sync, caches that lag, writes that fail, a program that ends anywhere."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.clock import timestamp
from k8slite.controller import TryAgain
from k8slite.controllers.statefulset.sync import StatefulSetSync
from k8slite.errors import ApiError

from .fake_api import Crash, FakeApi, FakeInformers, Fault, context

LABELS = {"app": "db"}
MOST = 5


def statefulset(
    *, replicas: int, parallel: bool, claims: bool, partition: int, unavailable: int, start: int, seconds: int
) -> dict[str, Any]:
    return {
        "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "serviceName": "dbs",
            "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "db:0"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}] if claims else [],
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"partition": partition, "maxUnavailable": unavailable},
            },
            "revisionHistoryLimit": 2,
            "minReadySeconds": seconds,
            "ordinals": {"start": start},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        },
    }


class World:
    """A cluster of one set: what its users and its kubelets do, and what must hold whenever the controller writes."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.api = FakeApi()
        self.api.put("statefulsets", document)
        self.api.watchers.append(self.judge)
        self.start()
        self.unseen: set[str] = set()
        """Pods that changed without the controller's doing since its cache caught up."""

    def start(self) -> None:
        self.context = context(self.api)
        self.sync = StatefulSetSync(self.context)
        self.unseen = set()

    @property
    def informers(self) -> FakeInformers:
        return self.context.informers  # type: ignore[return-value]

    def catch_up(self, plural: str = "") -> None:
        self.informers.catch_up(plural)
        if plural in ("", "pods"):
            self.unseen = set()

    @property
    def spec(self) -> dict[str, Any]:
        return self.api.objects["statefulsets", "db"]["spec"]

    def seen_spec(self) -> Any:
        return self.sync._sets.get("default/db").spec

    def pods(self) -> dict[int, dict[str, Any]]:
        return {int(name.rpartition("-")[2]): pod for name, pod in self.api.of("pods").items()}

    def available(self, pod: dict[str, Any] | None) -> bool:
        if pod is None or "deletionTimestamp" in pod["metadata"] or pod["status"]["phase"] != "Running":
            return False
        ready = pod["status"].get("readySince")
        return ready is not None and ready + self.seen_spec().min_ready_seconds <= self.api.clock.monotonic()

    def judge(self, verb: str, plural: str, document: dict[str, Any]) -> None:
        name = document["metadata"]["name"]
        if plural == "persistentvolumeclaims":
            assert verb != "delete", "the controller deletes no claims"
            retained = self.spec["persistentVolumeClaimRetentionPolicy"]
            if set(retained.values()) == {"Retain"} and self.never_deleting:
                assert not document["metadata"].get("ownerReferences")
        if plural == "pods" and verb == "create":
            self.judge_creation(document, int(name.rpartition("-")[2]))
        if plural == "pods" and verb == "delete":
            self.judge_deletion(document, int(name.rpartition("-")[2]))

    never_deleting = True
    """Whether the policy has always been to retain claims."""

    def judge_creation(self, document: dict[str, Any], ordinal: int) -> None:
        spec, pods = self.seen_spec(), self.pods()
        assert ordinal in range(spec.ordinals.start, spec.ordinals.start + spec.replicas)
        volumes = document["spec"].get("volumes") or []
        assert [volume["persistentVolumeClaim"]["claimName"] for volume in volumes] == [
            f"data-db-{ordinal}" for _ in spec.volume_claim_templates
        ]
        for volume in volumes:
            name = volume["persistentVolumeClaim"]["claimName"]
            assert ("persistentvolumeclaims", name) in self.api.objects or name in self.unseen
        assert ("controllerrevisions", document["metadata"]["labels"]["controller-revision-hash"]) in self.api.objects
        if spec.pod_management_policy == "OrderedReady":
            for before in range(spec.ordinals.start, ordinal):
                assert self.available(pods.get(before)) or f"db-{before}" in self.unseen

    def judge_deletion(self, document: dict[str, Any], ordinal: int) -> None:
        spec, pods = self.seen_spec(), self.pods()
        if f"db-{ordinal}" in self.unseen or "deletionTimestamp" in document["metadata"]:
            return
        ordinals = range(spec.ordinals.start, spec.ordinals.start + spec.replicas)
        ordered = spec.pod_management_policy == "OrderedReady"
        if ordinal not in ordinals:
            if ordered:
                above = [other for other in pods if other > ordinal and other not in ordinals]
                assert all(f"db-{other}" in self.unseen for other in above)
            return
        if document["status"]["phase"] in ("Failed", "Succeeded"):
            return
        assert ordinal >= spec.ordinals.start + spec.update_strategy.rolling_update.partition
        if ordered or self.available(document):
            down = [o for o in ordinals if not self.available(pods.get(o)) and f"db-{o}" not in self.unseen]
            assert len(down) < spec.update_strategy.rolling_update.max_unavailable

    def change(self, **spec: Any) -> None:
        stored = self.api.objects["statefulsets", "db"]
        metadata = {**stored["metadata"], "generation": stored["metadata"]["generation"] + 1}
        self.api.put("statefulsets", {**stored, "metadata": metadata, "spec": {**stored["spec"], **spec}})

    def kubelet(self, ordinal: int, what: str) -> None:
        """A pod starts, becomes ready or unready, ends; or what is to go is gone."""
        pod = self.pods().get(ordinal)
        if pod is None:
            return
        name = pod["metadata"]["name"]
        if "deletionTimestamp" in pod["metadata"]:
            self.api.remove("pods", name)
            self.unseen.add(name)
            return
        if pod["status"]["phase"] in ("Failed", "Succeeded"):
            return
        status: dict[str, Any] = {"phase": "Running"}
        if what in ("Failed", "Succeeded"):
            status = {"phase": what}
        elif what == "ready":
            moment = timestamp(self.api.clock.now())
            status["readySince"] = pod["status"].get("readySince") or self.api.clock.monotonic()
            kept = pod["status"].get("conditions")
            status["conditions"] = kept or [{"type": "Ready", "status": "True", "lastTransitionTime": moment}]
        if status != pod["status"]:
            self.api.put("pods", {**pod, "status": status})
            self.unseen.add(name)

    def user_deletes(self, ordinal: int, plural: str) -> None:
        if plural == "pods" and (pod := self.pods().get(ordinal)) is not None:
            gone = {**pod["metadata"], "deletionTimestamp": timestamp(self.api.clock.now())}
            self.api.put("pods", {**pod, "metadata": gone})
            self.unseen.add(pod["metadata"]["name"])
        if plural == "persistentvolumeclaims":
            self.api.remove(plural, f"data-db-{ordinal}")
            self.unseen.add(f"data-db-{ordinal}")

    async def look(self, faults: dict[int, Fault] | None = None) -> None:
        self.api.restart(faults)
        try:
            await self.sync.sync("default/db")
        except Crash:
            self.api.restart()
            self.start()
        except (ApiError, TryAgain, OSError):
            pass
        except Exception as error:  # aiohttp's errors are no OSError.
            assert type(error).__module__.startswith("aiohttp"), error

    async def settle(self) -> None:
        """Nothing goes wrong any more: the set must come to what its spec says."""
        await self.api.clock.advance(100)
        for _ in range(40 * MOST):
            before = dict(self.api.objects)
            self.catch_up()
            await self.look()
            for ordinal in self.pods():
                self.kubelet(ordinal, "ready")
            await self.api.clock.advance(5)
            self.collect_garbage()
            if {k: v["metadata"]["resourceVersion"] for k, v in before.items()} == {
                k: v["metadata"]["resourceVersion"] for k, v in self.api.objects.items()
            }:
                return
        raise AssertionError("it never comes to rest")

    def collect_garbage(self) -> None:
        living = {document["metadata"]["uid"] for document in self.api.objects.values()}
        for name, claim in self.api.of("persistentvolumeclaims").items():
            owners = claim["metadata"].get("ownerReferences") or []
            if owners and not any(owner["uid"] in living for owner in owners):
                self.api.remove("persistentvolumeclaims", name)


ordinal = st.integers(0, MOST + 1)
fates = st.sampled_from(["ready", "ready", "ready", "unready", "Failed", "Succeeded"])
steps = st.one_of(
    st.tuples(st.just("look"), st.dictionaries(st.integers(0, 4), st.sampled_from(Fault), max_size=1)),
    st.tuples(st.just("look"), st.just({})),
    st.tuples(st.just("catch up"), st.sampled_from(["", "pods", "statefulsets", "persistentvolumeclaims"])),
    st.tuples(st.just("kubelet"), ordinal, fates),
    st.tuples(st.just("all ready")),
    st.tuples(st.just("scale"), st.integers(0, MOST)),
    st.tuples(st.just("image"), st.integers(0, 3)),
    st.tuples(st.just("strategy"), st.integers(0, MOST), st.integers(1, 3)),
    st.tuples(st.just("begin"), st.integers(0, 2)),
    st.tuples(st.just("retain"), st.sampled_from(["Retain", "Delete"]), st.sampled_from(["Retain", "Delete"])),
    st.tuples(st.just("delete"), ordinal, st.sampled_from(["pods", "persistentvolumeclaims"])),
    st.tuples(st.just("time"), st.integers(1, 10)),
)


async def live(world: World, history: list[tuple[Any, ...]]) -> None:
    for step in history:
        match step:
            case ("look", faults):
                await world.look(faults)
            case ("catch up", plural):
                world.catch_up(plural)
            case ("kubelet", number, what):
                world.kubelet(number, what)
            case ("all ready",):
                for number in world.pods():
                    world.kubelet(number, "ready")
                world.catch_up()
            case ("scale", replicas):
                world.change(replicas=replicas)
            case ("image", number):
                template = {
                    "metadata": {"labels": LABELS},
                    "spec": {"containers": [{"name": "c", "image": f"db:{number}"}]},
                }
                world.change(template=template)
            case ("strategy", partition, unavailable):
                rolling = {"partition": partition, "maxUnavailable": unavailable}
                world.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})
            case ("begin", start):
                world.change(ordinals={"start": start})
            case ("retain", deleted, scaled):
                world.never_deleting = world.never_deleting and (deleted, scaled) == ("Retain", "Retain")
                world.change(persistentVolumeClaimRetentionPolicy={"whenDeleted": deleted, "whenScaled": scaled})
            case ("delete", number, plural):
                world.user_deletes(number, plural)
            case ("time", seconds):
                await world.api.clock.advance(seconds)


def check_rest(world: World) -> None:
    """What must be once all is quiet."""
    document, spec = world.api.objects["statefulsets", "db"], world.spec
    status, pods = document["status"], world.pods()
    start = spec["ordinals"]["start"]
    wanted = range(start, start + spec["replicas"])
    assert sorted(pods) == list(wanted)
    rolling = spec["updateStrategy"]["rollingUpdate"]
    image = spec["template"]["spec"]["containers"][0]["image"]
    above = wanted[rolling["partition"] :]
    assert all(pods[number]["spec"]["containers"][0]["image"] == image for number in above)
    at = {number: pod["metadata"]["labels"]["controller-revision-hash"] for number, pod in pods.items()}
    updated = [number for number in wanted if at[number] == status["updateRevision"]]
    assert set(above) <= set(updated)
    assert status["observedGeneration"] == document["metadata"]["generation"]
    assert status["replicas"] == status["readyReplicas"] == status["availableReplicas"] == len(wanted)
    assert status["updatedReplicas"] == len(updated)
    if len(updated) == len(wanted):
        assert status["currentRevision"] == status["updateRevision"]
        assert status["currentReplicas"] == len(wanted)
    live = {*at.values()} | {status["currentRevision"], status["updateRevision"]}
    revisions = world.api.of("controllerrevisions")
    assert live <= set(revisions)
    assert len(set(revisions) - live) <= spec["revisionHistoryLimit"]
    claims = world.api.of("persistentvolumeclaims")
    owner = document["metadata"]["uid"]
    policy = spec["persistentVolumeClaimRetentionPolicy"]
    for number in wanted if spec["volumeClaimTemplates"] else ():
        owners = [
            one["uid"] for one in claims.get(f"data-db-{number}", {}).get("metadata", {}).get("ownerReferences") or []
        ]
        if f"data-db-{number}" in claims:
            assert owners == ([owner] if policy["whenDeleted"] == "Delete" else [])


sets = st.builds(
    statefulset,
    replicas=st.integers(0, MOST),
    parallel=st.booleans(),
    claims=st.booleans(),
    partition=st.integers(0, 2),
    unavailable=st.integers(1, 3),
    start=st.integers(0, 1),
    seconds=st.sampled_from([0, 0, 3]),
)


@settings(max_examples=200, deadline=None)
@given(document=sets, history=st.lists(steps, max_size=40))
def test_whatever_happens_it_comes_to_what_is_asked_for(document: dict[str, Any], history: list[tuple[Any, ...]]):
    async def run() -> None:
        world = World(document)
        await live(world, history)
        await world.settle()
        check_rest(world)

    asyncio.run(run())
