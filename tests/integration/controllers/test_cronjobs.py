"""CronJobs over a real API server, with controllers whose minutes pass as the test wishes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.clock import VirtualClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.manager import manage
from k8slite.kinds.batch import CronJob, Job
from k8slite.kinds.resources import CRON_JOBS, EVENTS, JOBS, PODS
from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

from .puppets import Puppets

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
CONTROLLERS = ["cronjob-controller", "job-controller", "ttl-after-finished-controller", "garbage-collector-controller"]


@dataclass
class Days:
    """A server, a client, and the clock that the controllers read."""

    server: RunningServer
    client: Client
    clock: VirtualClock
    config: ControllerManagerConfig

    @contextlib.asynccontextmanager
    async def manager(self) -> AsyncIterator[asyncio.Task[None]]:
        async with Client(self.server.client_config("system:kube-controller-manager")) as acting:
            task = asyncio.create_task(manage(acting, self.config, clock=self.clock))
            try:
                yield task
            finally:
                while not task.done():
                    task.cancel()
                    await self.clock.advance(1)
                await asyncio.gather(task, return_exceptions=True)

    async def until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        """What is seen once it is true; the clock goes on a little each time, for retries and timeouts."""
        async with asyncio.timeout(60):
            while not (seen := await look()):
                await self.clock.advance(0.05)
                await asyncio.sleep(0.01)
        return seen

    async def minute(self, count: int = 1) -> None:
        """Let the clock show a full minute, so many times."""
        for _ in range(count):
            now = self.clock.now()
            await self.clock.advance(60 - now.timestamp() % 60 + 0.2)

    async def make(self, schedule: str = "* * * * *", *, image: str = "web:1", **spec: Any) -> None:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}
        body = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "report"},
            "spec": {
                "schedule": schedule,
                "jobTemplate": {"metadata": {"labels": {"made": "by-report"}}, "spec": {"template": template}},
                **spec,
            },
        }
        made = await self.client.create(CRON_JOBS, body, namespace="default")
        # The server's clock went on while the controllers' stood still.
        behind = made.metadata.creation_timestamp - self.clock.now()
        await self.clock.advance(max(behind.total_seconds(), 0.0) + 1)

    async def cronjob(self) -> CronJob:
        return await self.client.get(CRON_JOBS, "report", namespace="default")

    async def patch(self, **spec: Any) -> None:
        await self.client.patch(CRON_JOBS, "report", {"spec": spec}, namespace="default")

    async def jobs(self) -> list[Job]:
        found = (await self.client.list(JOBS, namespace="default")).items
        return sorted(found, key=lambda job: job.metadata.creation_timestamp)

    async def count(self, wanted: int) -> list[Job]:
        async def look() -> tuple[list[Job]] | None:
            found = await self.jobs()
            return (found,) if len(found) == wanted else None

        (found,) = await self.until(look)
        return found

    async def active(self, wanted: int) -> CronJob:
        async def look() -> CronJob | None:
            found = await self.cronjob()
            return found if len(found.status.active) == wanted else None

        found: CronJob = await self.until(look)
        return found

    async def told(self, reason: str) -> str:
        async def look() -> str | None:
            selector = f"involvedObject.name=report,reason={reason}"
            found = (await self.client.list(EVENTS, namespace="default", field_selector=selector)).items
            return found[0].message if found else None

        message: str = await self.until(look)
        return message


@pytest.fixture
async def world(tmp_path) -> AsyncIterator[Days]:
    async with running_server() as server, Client(server.admin) as admin:
        config = ControllerManagerConfig(kubeconfig=tmp_path / "unused", controllers=CONTROLLERS)
        puppets = asyncio.create_task(Puppets(admin).run())
        try:
            yield Days(server, admin, VirtualClock(datetime.now(UTC)), config)
        finally:
            puppets.cancel()
            await asyncio.gather(puppets, return_exceptions=True)


@pytest.fixture
async def days(world) -> AsyncIterator[Days]:
    async with world.manager():
        yield world


async def test_runs_may_overlap(days):
    await days.make()
    await days.minute()
    await days.count(1)
    await days.minute()
    first, second = await days.count(2)
    found = await days.active(2)
    assert {noted.name for noted in found.status.active} == {first.name, second.name}
    for job in (first, second):
        scheduled = datetime.fromisoformat(job.metadata.annotations[SCHEDULED])
        assert job.name == f"report-{int(scheduled.timestamp()) // 60}"
        assert job.metadata.labels == {"made": "by-report"}
        assert job.metadata.controller.name == "report"
    assert found.status.last_schedule_time == max(
        datetime.fromisoformat(job.metadata.annotations[SCHEDULED]) for job in (first, second)
    )
    assert await days.told("SuccessfulCreate") == f"Created job {first.name}"


async def test_a_run_is_not_begun_while_another_is_under_way(days):
    await days.make(concurrencyPolicy="Forbid")
    await days.minute()
    (first,) = await days.count(1)
    await days.active(1)
    await days.minute(2)
    await days.told("JobAlreadyActive")
    assert [job.name for job in await days.jobs()] == [first.name]
    await days.client.delete(JOBS, first.name, namespace="default", propagation="Background")

    async def another() -> bool:
        return [job.name for job in await days.jobs()] not in ([], [first.name])

    await days.until(another)


async def test_a_run_replaces_the_one_before(days):
    await days.make(concurrencyPolicy="Replace")
    await days.minute()
    (first,) = await days.count(1)
    await days.active(1)
    await days.minute()

    async def replaced() -> bool:
        found = await days.jobs()
        return len(found) == 1 and found[0].name != first.name

    await days.until(replaced)
    await days.active(1)
    assert await days.told("SuccessfulDelete") == f"Deleted job {first.name}"


async def test_nothing_starts_while_it_is_suspended(days):
    await days.make(suspend=True)
    await days.minute(3)
    assert await days.jobs() == []
    await days.patch(suspend=False)
    (job,) = await days.count(1)
    scheduled = datetime.fromisoformat(job.metadata.annotations[SCHEDULED])
    assert days.clock.now() - scheduled < timedelta(minutes=2), "of those that were missed only the last is started"


async def test_history_is_kept_short(days):
    await days.make(image="once:1", successfulJobsHistoryLimit=2)
    for _ in range(4):
        await days.minute()

        async def done() -> bool:
            latest = (await days.cronjob()).status.last_schedule_time
            found = await days.jobs()
            names = {job.name for job in found if job.finished is not None}
            return latest is not None and f"report-{int(latest.timestamp()) // 60}" in names

        await days.until(done)
    found = await days.count(2)
    names = [job.name for job in found]
    latest = (await days.cronjob()).status.last_schedule_time
    assert names[-1] == f"report-{int(latest.timestamp()) // 60}"
    found = await days.active(0)
    assert found.status.last_successful_time is not None
    message = await days.told("SawCompletedJob")
    assert message.endswith("status: Complete")


async def test_a_run_by_hand(days):
    await days.make(schedule="0 0 1 1 *", image="once:1", successfulJobsHistoryLimit=0)
    answer = await Kubectl(days.server)("create", "job", "by-hand", "--from=cronjob/report")
    assert answer.code == 0, answer.err
    await days.count(0)
    found = await days.cronjob()
    assert found.status.last_schedule_time is None
    assert found.status.last_successful_time is not None


async def test_a_new_schedule_counts_at_once_and_what_was_before_it_is_not_missed(days):
    await days.make(schedule="0 0 1 1 *")
    await days.minute(3)
    await days.patch(schedule="*/2 * * * *")

    async def seen() -> bool:
        return (await days.cronjob()).spec.schedule == "*/2 * * * *"

    await days.until(seen)
    await days.clock.advance(1)
    assert await days.jobs() == []
    await days.minute(2)
    (job,) = await days.count(1)
    assert datetime.fromisoformat(job.metadata.annotations[SCHEDULED]).minute % 2 == 0


async def test_a_schedule_that_never_comes_is_told(days):
    await days.make(schedule="0 0 31 2 *")
    message = await days.told("InvalidSchedule")
    assert message.startswith("invalid schedule: 0 0 31 2 * : ")


async def test_two_managers_make_one_job_for_one_start(world):
    async with world.manager(), world.manager():
        await world.make()
        for number in range(1, 4):
            await world.minute()
            found = await world.count(number)
        await world.active(3)
        assert len({job.metadata.annotations[SCHEDULED] for job in found}) == 3
        created = (await world.client.list(PODS, namespace="default")).items
        assert len({pod.metadata.controller.uid for pod in created}) <= 3


async def test_a_manager_that_was_away_starts_the_last_run_only(world):
    async with world.manager():
        await world.make()
        await world.minute()
        await world.count(1)
        await world.active(1)
    await world.minute(150)
    async with world.manager():
        await world.count(2)
        await world.told("TooManyMissedTimes")
        found = await world.active(2)
        assert world.clock.now() - found.status.last_schedule_time < timedelta(minutes=2)


async def test_jobs_go_when_their_time_is_over(days):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "once:1"}]}}
    for name, kept in (("short", 60), ("long", 60), ("ever", None)):
        spec = {"template": template} | ({"ttlSecondsAfterFinished": kept} if kept is not None else {})
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
        await days.client.create(JOBS, body, namespace="default")

    async def over() -> bool:
        return all(job.finished is not None for job in await days.jobs())

    await days.until(over)
    await days.clock.advance(30)
    await days.client.patch(JOBS, "long", {"spec": {"ttlSecondsAfterFinished": 600}}, namespace="default")
    assert len(await days.jobs()) == 3
    await days.clock.advance(60)

    async def names(*wanted: str) -> bool:
        pods = {pod.metadata.controller.name for pod in (await days.client.list(PODS, namespace="default")).items}
        return {job.name for job in await days.jobs()} == pods == set(wanted)

    await days.until(lambda: names("long", "ever"))
    await days.client.patch(JOBS, "long", {"spec": {"ttlSecondsAfterFinished": 0}}, namespace="default")
    await days.until(lambda: names("ever"))
