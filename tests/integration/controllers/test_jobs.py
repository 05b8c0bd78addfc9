"""Jobs on simulated nodes whose pods fail as they are told to; an hour of theirs is six minutes of ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from k8slite.clock import SystemClock
from k8slite.errors import ApiError
from k8slite.kinds.batch import Job
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import EVENTS, JOBS, PODS

from .simulated import SimulatedCluster, simulated_cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
STAGES = {
    "pods": [
        {
            "name": "odd-fails",
            "match": {"annotations": f"test/odd-fails,{INDEX} in (1,3)", "state": "Running"},
            "delay": 1,
            "next": {"state": "Ended", "exitCode": 1},
        },
        {
            "name": "sometimes-fails",
            "match": {"annotations": "test/sometimes-fails", "state": "Running"},
            "chance": 0.5,
            "delay": 1,
            "next": {"state": "Ended", "exitCode": 1},
        },
        {
            # Each failure without a success between doubles the pause: five of them are a matter of one in 400.
            "name": "now-and-then-fails",
            "match": {"annotations": "test/now-and-then-fails", "state": "Running"},
            "chance": 0.3,
            "delay": 1,
            "next": {"state": "Ended", "exitCode": 1},
        },
        {
            "name": "rarely-fails",
            "match": {"annotations": "test/rarely-fails", "state": "Running"},
            "chance": 0.1,
            "delay": {"seconds": 1, "jitter": 3},
            "next": {"state": "Ended", "exitCode": 1},
        },
        {
            "name": "comes-back",
            "match": {"annotations": "test/sometimes-fails", "state": "CrashLoopBackOff"},
            "delay": 1,
            "next": {"state": "Running"},
        },
    ]
}
NEVER = {"k8slite.io/complete-after": "10h"}


class HastyClock(SystemClock):
    """Ten seconds in each of ours."""

    FACTOR = 10.0

    def __init__(self) -> None:
        self._start, self._origin = super().now(), super().monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return (super().monotonic() - self._origin) * self.FACTOR

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.FACTOR)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory):
    directory = tmp_path_factory.mktemp("jobs")
    async with simulated_cluster(
        directory, stages=STAGES, clock=HastyClock(), node_monitor_grace_period=100_000.0
    ) as made:
        yield made


class Work:
    """One Job in a test's hands."""

    def __init__(self, cluster: SimulatedCluster, name: str) -> None:
        self.cluster = cluster
        self.client = cluster.client
        self.name = name

    async def now(self) -> Job:
        return await self.client.get(JOBS, self.name, namespace="default")

    async def pods(self) -> list[Pod]:
        return await self.cluster.list(PODS, f"batch.kubernetes.io/job-name={self.name}")

    async def patch(self, **spec: Any) -> None:
        await self.client.patch(JOBS, self.name, {"spec": spec}, namespace="default")

    async def until(self, holds: Callable[[Job], Any]) -> Job:
        async def look() -> Job | None:
            found = await self.now()
            return found if holds(found) else None

        try:
            found: Job = await self.cluster.until(look)
        except TimeoutError:
            raise AssertionError(await self.now()) from None
        return found

    async def over(self) -> Job:
        found = await self.until(lambda job: job.finished)
        assert (found.status.active, found.status.ready, found.status.terminating) == (0, 0, 0)
        assert not any(FINALIZER in pod.metadata.finalizers for pod in await self.pods())
        return found

    async def running(self, count: int) -> list[Pod]:
        async def look() -> list[Pod] | None:
            found = [pod for pod in await self.pods() if pod.status.phase == "Running" and not pod.deleting]
            return found if len(found) == count else None

        found: list[Pod] = await self.cluster.until(look)
        return found

    async def told(self, reason: str) -> None:
        async def look() -> bool:
            about = f"involvedObject.name={self.name},reason={reason}"
            return bool((await self.client.list(EVENTS, namespace="default", field_selector=about)).items)

        await self.cluster.until(look)


@pytest_asyncio.fixture(loop_scope="module")
async def begin(cluster, request) -> Callable[..., Awaitable[Work]]:
    """Makes Jobs, and takes them and their pods away again."""
    made: list[Work] = []

    async def create(
        *,
        command: list[str] | None = None,
        annotations: dict[str, str] | None = None,
        restart: str = "Never",
        **spec: Any,
    ) -> Work:
        name = f"{request.node.originalname.removeprefix('test_').replace('_', '-')[:40]}-{random.randrange(10**6)}"
        container = {"name": "c", "image": "work:1"} | ({"command": command} if command else {})
        template = {
            "metadata": {"annotations": annotations or {}},
            "spec": {"restartPolicy": restart, "containers": [container]},
        }
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"template": template, **spec},
        }
        await cluster.client.create(JOBS, body, namespace="default")
        made.append(Work(cluster, name))
        return made[-1]

    yield create
    for work in made:
        try:
            await cluster.client.delete(JOBS, work.name, namespace="default", propagation="Foreground")
        except ApiError as error:
            assert error.code == 404
        await cluster.until(lambda work=work: gone(work))


async def gone(work: Work) -> bool:
    return not await work.pods() and await work.cluster.get(JOBS, work.name) is None


def reason(job: Job) -> tuple[str, str]:
    assert job.finished is not None
    return job.finished.type, job.finished.reason


async def test_tasks_that_fail_and_are_restarted_in_place(begin):
    work = await begin(
        annotations={"test/sometimes-fails": ""}, restart="OnFailure", completions=4, parallelism=2, backoffLimit=60
    )
    job = await work.over()
    assert reason(job) == ("Complete", "CompletionsReached")
    assert (job.status.succeeded, job.status.failed) == (4, 0)
    await work.told("Completed")


async def test_tasks_that_fail_and_are_made_again(begin):
    work = await begin(annotations={"test/now-and-then-fails": ""}, completions=6, parallelism=3, backoffLimit=60)
    job = await work.over()
    assert reason(job) == ("Complete", "CompletionsReached")
    failed = sum(pod.status.phase == "Failed" for pod in await work.pods())
    assert (job.status.succeeded, job.status.failed) == (6, failed)


async def test_a_limit_of_failures(begin):
    work = await begin(command=["false"], backoffLimit=1)
    job = await work.over()
    assert reason(job) == ("Failed", "BackoffLimitExceeded")
    assert [pod.status.phase for pod in await work.pods()] == ["Failed", "Failed"]
    assert job.status.failed == 2
    await work.told("BackoffLimitExceeded")


async def test_a_deadline(begin):
    work = await begin(annotations=NEVER, activeDeadlineSeconds=10, parallelism=2, completions=4)
    job = await work.over()
    assert reason(job) == ("Failed", "DeadlineExceeded")
    assert job.status.failed == 2


async def test_an_exit_code_fails_the_job_early(begin):
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}]
    work = await begin(command=["exit", "3"], podFailurePolicy={"rules": rules}, completions=4)
    job = await work.over()
    assert reason(job) == ("Failed", "PodFailurePolicy")
    (pod,) = await work.pods()
    message = f"Container c for pod default/{pod.name} failed with exit code 3 matching FailJob rule at index 0"
    assert job.finished.message == message


async def test_pods_that_are_evicted_are_no_failures(begin):
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    terms = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimit": 2}
    work = await begin(annotations=NEVER, podFailurePolicy={"rules": rules}, **terms)
    first = await work.running(3)
    await work.until(lambda job: job.status.ready == 3)
    for pod in first:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod.name}}
        await work.client.create(PODS, eviction, namespace="default", name=pod.name, subresource="eviction")

    async def replaced() -> list[Pod] | None:
        found = [pod for pod in await work.running(3) if pod.uid not in {old.uid for old in first}]
        return found if len(found) == 3 else None

    for pod in await work.cluster.until(replaced):
        annotations = {"metadata": {"annotations": {"k8slite.io/complete-after": "1s"}}}
        await work.client.patch(PODS, pod.name, annotations, namespace="default")
    job = await work.over()
    assert reason(job) == ("Complete", "CompletionsReached")
    assert (job.status.succeeded, job.status.failed) == (3, 0)


async def test_indexes_and_host_names(begin):
    work = await begin(completions=4, parallelism=2, completionMode="Indexed")
    job = await work.over()
    assert job.status.completed_indexes == "0-3"
    pods = await work.pods()
    assert sorted(pod.metadata.labels[INDEX] for pod in pods) == ["0", "1", "2", "3"]
    for pod in pods:
        index = pod.metadata.annotations[INDEX]
        assert pod.spec.hostname == f"{work.name}-{index}"
        assert pod.name.startswith(f"{work.name}-{index}-")
        (variable,) = pod.spec.containers[0].env
        assert variable.name == "JOB_COMPLETION_INDEX"
        assert variable.value_from.field_ref.field_path == f"metadata.labels['{INDEX}']"


async def test_all_indexes_are_executed_though_some_fail(begin):
    terms = {"completions": 4, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
    work = await begin(annotations={"test/odd-fails": ""}, **terms)
    job = await work.over()
    assert reason(job) == ("Failed", "FailedIndexes")
    assert (job.status.completed_indexes, job.status.failed_indexes) == ("0,2", "1,3")
    assert (job.status.succeeded, job.status.failed) == (2, 4)
    counts = [
        pod.metadata.annotations["batch.kubernetes.io/job-index-failure-count"]
        for pod in await work.pods()
        if pod.metadata.annotations[INDEX] in ("1", "3")
    ]
    assert sorted(counts) == ["0", "0", "1", "1"]


async def test_too_many_failed_indexes(begin):
    terms = {"completions": 4, "parallelism": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
    work = await begin(command=["false"], maxFailedIndexes=0, **terms)
    job = await work.over()
    assert reason(job) == ("Failed", "MaxFailedIndexesExceeded")
    assert (job.status.failed_indexes, job.status.failed) == ("0", 1)


async def test_an_exit_code_fails_an_index(begin):
    rules = [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1]}}]
    terms = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
    work = await begin(annotations={"test/odd-fails": ""}, podFailurePolicy={"rules": rules}, **terms)
    job = await work.over()
    assert reason(job) == ("Failed", "FailedIndexes")
    assert (job.status.completed_indexes, job.status.failed_indexes) == ("0", "1")
    assert (job.status.succeeded, job.status.failed) == (1, 1)


async def test_success_when_all_indexes_succeed(begin):
    terms = {"completions": 2, "parallelism": 2, "completionMode": "Indexed"}
    work = await begin(successPolicy={"rules": [{"succeededCount": 2}]}, **terms)
    job = await work.over()
    assert reason(job) == ("Complete", "SuccessPolicy")
    assert (job.status.succeeded, job.status.failed) == (2, 0)


@pytest.mark.parametrize("rule", [{"succeededIndexes": "0"}, {"succeededCount": 1}])
async def test_success_while_indexes_are_pending(begin, rule):
    terms = {"completions": 5, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 1000}
    work = await begin(annotations={"test/odd-fails": ""}, successPolicy={"rules": [rule]}, **terms)
    job = await work.over()
    assert reason(job) == ("Complete", "SuccessPolicy")
    assert job.status.completed_indexes == "0"


async def test_orphans_are_adopted_and_strangers_released(begin):
    work = await begin(annotations=NEVER, completions=4, parallelism=2)
    pod = (await work.running(2))[0]
    job = await work.now()
    await work.client.patch(PODS, pod.name, {"metadata": {"ownerReferences": None}}, namespace="default")

    async def found() -> Pod:
        return await work.client.get(PODS, pod.name, namespace="default")

    async def adopted() -> bool:
        owner = (await found()).metadata.controller
        return owner is not None and owner.uid == job.uid and FINALIZER in (await found()).metadata.finalizers

    await work.cluster.until(adopted)
    await work.client.patch(PODS, pod.name, {"metadata": {"labels": None}}, namespace="default")

    async def released() -> bool:
        return (await found()).metadata.controller is None and FINALIZER not in (await found()).metadata.finalizers

    await work.cluster.until(released)
    assert len(await work.running(2)) == 2
    assert (await work.now()).status.failed == 0
    await work.client.delete(PODS, pod.name, namespace="default", grace_period=0)


async def test_a_job_is_deleted_with_its_pods(begin):
    work = await begin(annotations=NEVER, completions=4, parallelism=2)
    await work.running(2)
    await work.client.delete(JOBS, work.name, namespace="default", propagation="Background")
    await work.cluster.until(lambda: gone(work))


async def test_pods_outlive_a_job_that_leaves_them(begin):
    work = await begin(annotations=NEVER, completions=2, parallelism=2)
    await work.running(2)
    await work.client.delete(JOBS, work.name, namespace="default", propagation="Orphan")

    async def free() -> list[Pod] | None:
        found = await work.pods()
        return found if not any(pod.metadata.finalizers for pod in found) else None

    left = await work.cluster.until(free)
    assert len(left) == 2
    for pod in left:
        await work.client.delete(PODS, pod.name, namespace="default")


async def test_a_status_of_somebody_elses_is_kept(begin):
    """The subresource is read, patched and updated, and nobody takes a strange condition away."""
    work = await begin(annotations=NEVER, completions=2)
    await work.running(1)
    strange = {"type": "CustomConditionType", "status": "True", "reason": "Patched"}
    present = [one.to_wire() for one in (await work.now()).status.conditions]
    body = {"status": {"conditions": [*present, strange]}}
    await work.client.patch(JOBS, work.name, body, namespace="default", subresource="status")
    await work.patch(parallelism=2)
    await work.until(lambda job: job.status.active == 2)
    job = await work.now()
    assert [c.type for c in job.status.conditions] == ["CustomConditionType"]


async def test_jobs_of_another_manager_are_left_alone(begin):
    work = await begin(managedBy="example.com/other")
    other = await begin()
    await other.over()
    assert (await work.now()).status == type((await work.now()).status)()
    assert await work.pods() == []


async def test_replacement_waits_for_the_end(begin):
    work = await begin(annotations=NEVER, podReplacementPolicy="Failed", backoffLimit=3)
    (pod,) = await work.running(1)
    finalizers = [*pod.metadata.finalizers, "test/held"]
    await work.client.patch(PODS, pod.name, {"metadata": {"finalizers": finalizers}}, namespace="default")
    await work.client.delete(PODS, pod.name, namespace="default")
    job = await work.until(lambda job: job.status.failed == 1)
    held = await work.client.get(PODS, pod.name, namespace="default")
    assert held.status.phase == "Failed"
    await work.client.patch(PODS, pod.name, {"metadata": {"finalizers": None}}, namespace="default")
    await work.running(1)
    assert job.status.succeeded == 0


async def test_an_indexed_job_is_resized(begin):
    work = await begin(annotations=NEVER, completions=3, parallelism=3, completionMode="Indexed")
    await work.running(3)
    await work.patch(completions=1, parallelism=1)
    (pod,) = await work.running(1)
    assert pod.metadata.annotations[INDEX] == "0"
    await work.patch(completions=4, parallelism=4)
    assert sorted(pod.metadata.annotations[INDEX] for pod in await work.running(4)) == ["0", "1", "2", "3"]
    assert (await work.now()).status.failed == 0


async def test_a_job_that_ran_rests_and_may_go_elsewhere(begin):
    work = await begin(annotations=NEVER, completions=2, parallelism=2)
    await work.running(2)
    started = (await work.now()).status.start_time
    await work.patch(suspend=True)
    job = await work.until(lambda job: any(c.type == "Suspended" and c.status == "True" for c in job.status.conditions))
    await work.until(lambda job: job.status.active == 0 and job.status.terminating == 0)
    assert job.status.failed == 0
    await work.patch(template={"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}})
    await work.cluster.clock.sleep(1.1)  # a start is told in whole seconds
    await work.patch(suspend=False)
    job = await work.until(lambda job: job.status.active == 2)
    assert job.status.start_time > started
    assert all(pod.spec.node_selector == {"kubernetes.io/os": "linux"} for pod in await work.pods())
    await work.told("Suspended")
    await work.told("Resumed")


async def test_counts_are_exact_though_the_manager_dies_again_and_again(cluster, begin):
    work = await begin(annotations={"test/rarely-fails": ""}, completions=200, parallelism=50, backoffLimit=10_000)
    chance = random.Random(7)
    for _ in range(10):
        await asyncio.sleep(chance.uniform(0.05, 0.4))  # a random moment is what is wanted
        await cluster.restart_manager()
    job = await work.over()
    assert reason(job) == ("Complete", "CompletionsReached")
    phases = [pod.status.phase for pod in await work.pods()]
    assert job.status.succeeded == phases.count("Succeeded") == 200
    assert job.status.failed == phases.count("Failed")
    assert len(phases) == 200 + job.status.failed


async def test_no_pod_is_counted_twice_though_two_managers_act_at_once(cluster, begin):
    """They should not, but a leader that was paused may go on for a moment: each makes and removes pods for itself."""
    fates: dict[str, str] = {}

    async def watch() -> None:
        async for event in cluster.client.watch(PODS, namespace="default", resource_version=started):
            fates[event.object.uid] = event.object.status.phase

    started = (await cluster.client.list(PODS, namespace="default")).resource_version
    watching = asyncio.create_task(watch())
    first = cluster.managing
    cluster.start_manager()
    try:
        work = await begin(annotations={"test/rarely-fails": ""}, completions=60, parallelism=20, backoffLimit=10_000)
        job = await work.over()
        await cluster.until(lambda: seen_all(work, fates))
    finally:
        await cluster.stop_manager()
        cluster.managing = first
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert reason(job) == ("Complete", "CompletionsReached")
    phases = list(fates.values())
    assert 60 <= job.status.succeeded <= phases.count("Succeeded")
    assert job.status.failed <= phases.count("Failed")


async def seen_all(work: Work, fates: dict[str, str]) -> bool:
    return all(fates.get(pod.uid) == pod.status.phase for pod in await work.pods())
