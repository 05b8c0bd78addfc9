"""What a CronJob starts, and when: case by case, and against a naive reading of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.cronjob.job import SCHEDULED, job_of, name_for, reference
from k8slite.controllers.cronjob.plan import plan
from k8slite.kinds.batch import CronJob, Job
from k8slite.schedules import parse

T0 = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def cronjob(schedule: str = "*/10 * * * *", *, created: float = 0, status=None, deleting=False, **spec) -> CronJob:
    metadata = {"name": "report", "namespace": "default", "uid": "uid-report", "creationTimestamp": at(created)}
    if deleting:
        metadata["deletionTimestamp"] = at(0)
    return CronJob.model_validate(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata,
            "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {}}}, **spec},
            "status": status or {},
        }
    )


def job(cron: CronJob, start: datetime, *, over: str = "", name: str = "", took: float = 1, **metadata) -> Job:
    document = job_of(cron, start, zone=UTC)
    document["metadata"] |= metadata
    if name:
        document["metadata"] |= {"name": name, "annotations": {"cronjob.kubernetes.io/instantiate": "manual"}}
    document["metadata"]["uid"] = f"uid-{document['metadata']['name']}"
    document["status"] = {"startTime": start}
    if over:
        document["status"]["conditions"] = [{"type": over, "status": "True"}]
    if over == "Complete":
        document["status"]["completionTime"] = start + timedelta(minutes=took)
    return Job.model_validate(document)


def running(cron: CronJob, *jobs: Job, last: datetime | None = None) -> CronJob:
    active = [reference(one) for one in jobs]
    status = cron.status.model_copy(update={"active": active, "last_schedule_time": last})
    return cron.model_copy(update={"status": status})


def reasons(decided) -> list[str]:
    return [saying.reason for saying in decided.says]


@pytest.mark.parametrize(
    ("now", "expected", "wait"),
    [(9.9, None, 6), (15, 10, 300), (15.02, 10, 299), (19, 10, 60), (45, 40, 300)],
)
def test_a_start_is_due_when_its_minute_has_come_and_only_the_last_of_several(now, expected, wait):
    decided = plan(cronjob=cronjob(), jobs=[], now=at(now))
    assert decided.start == (at(expected) if expected is not None else None)
    assert decided.requeue_after == pytest.approx(wait, abs=1.0)


def test_what_was_started_is_not_started_again():
    cron = cronjob(status={"lastScheduleTime": at(10)})
    assert plan(cronjob=cron, jobs=[], now=at(15)).start is None
    assert plan(cronjob=cron, jobs=[], now=at(20)).start == at(20)


def test_a_job_that_was_made_and_not_noted_is_noted():
    cron = cronjob()
    made = job(cron, at(10))
    decided = plan(cronjob=cron, jobs=[made], now=at(11))
    assert decided.start is None
    assert [noted.name for noted in decided.status.active] == [made.name]
    assert decided.status.last_schedule_time == at(10)
    assert reasons(decided) == []
    done = job(cron, at(10), over="Complete")
    decided = plan(cronjob=cron, jobs=[done], now=at(11))
    assert (decided.start, decided.status.active, decided.status.last_schedule_time) == (None, [], at(10))


@pytest.mark.parametrize(
    ("policy", "starts", "replaced", "said"),
    [("Allow", True, 0, []), ("Forbid", False, 0, ["JobAlreadyActive"]), ("Replace", True, 1, [])],
)
def test_concurrency(policy, starts, replaced, said):
    cron = cronjob(concurrencyPolicy=policy)
    first = job(cron, at(10))
    decided = plan(cronjob=running(cron, first, last=at(10)), jobs=[first], now=at(20))
    assert (decided.start == at(20)) == starts
    assert len(decided.replace) == replaced
    assert reasons(decided) == said


def test_what_was_forbidden_starts_when_the_other_ends_unless_it_is_too_late():
    cron = cronjob(concurrencyPolicy="Forbid")
    first = job(cron, at(10), over="Complete", took=14)
    cron = running(cron, first, last=at(10))
    decided = plan(cronjob=cron, jobs=[first], now=at(24))
    assert decided.start == at(20)
    assert reasons(decided) == ["SawCompletedJob"]
    assert decided.status.active == []
    assert decided.status.last_successful_time == at(24)
    cron = cron.model_copy(update={"spec": cron.spec.model_copy(update={"starting_deadline_seconds": 60})})
    decided = plan(cronjob=cron, jobs=[first], now=at(24))
    assert decided.start is None
    assert decided.says[1].message == "Missed scheduled time to start a job: Sat, 21 Nov 2026 10:20:00 +0000"
    assert decided.says[1].reason == "MissSchedule"


@pytest.mark.parametrize(
    ("deadline", "now", "expected", "many"),
    [(None, 100, 100, False), (None, 101, 101, True), (None, 5000.5, 5000, True), (600, 5000.5, 5000, False)],
)
def test_missed_starts(deadline, now, expected, many):
    cron = cronjob("* * * * *", startingDeadlineSeconds=deadline)
    decided = plan(cronjob=cron, jobs=[], now=at(now))
    assert decided.start == at(expected)
    assert (reasons(decided) == ["TooManyMissedTimes"]) == many


def test_a_start_that_is_past_its_deadline_is_missed():
    cron = cronjob("0 * * * *", created=-30, startingDeadlineSeconds=30)
    assert plan(cronjob=cron, jobs=[], now=at(0.5)).start == at(0)
    decided = plan(cronjob=cron, jobs=[], now=at(0.6))
    assert decided.start is None
    assert reasons(decided) == ["MissSchedule"]


def test_a_start_far_away_is_not_left_to_a_timer_that_stands_still_while_the_machine_sleeps():
    for now in (1, 30, 55):
        decided = plan(cronjob=cronjob("0 * * * *"), jobs=[], now=at(now))
        assert decided.requeue_after == pytest.approx(300, abs=1)
    assert plan(cronjob=cronjob("0 * * * *"), jobs=[], now=at(58)).requeue_after == pytest.approx(120, abs=1)


@pytest.mark.parametrize("spec", [{"suspend": True}, {"timeZone": "No/Where"}])
def test_no_start(spec):
    decided = plan(cronjob=cronjob(**spec), jobs=[], now=at(10))
    assert (decided.start, decided.requeue_after) == (None, None)


def test_a_cronjob_that_is_deleted_starts_nothing():
    assert plan(cronjob=cronjob(deleting=True), jobs=[], now=at(10)).start is None


@pytest.mark.parametrize(
    ("schedule", "spec", "reason", "message"),
    [
        ("* * * *", {}, "UnparseableSchedule", 'unparseable schedule: "* * * *" : expected exactly 5 fields'),
        ("0 0 31 2 *", {}, "InvalidSchedule", "invalid schedule: 0 0 31 2 * : time difference between two schedules"),
        ("0 0 * * *", {"timeZone": "X/Y"}, "UnknownTimeZone", 'invalid timeZone: "X/Y": unknown time zone X/Y'),
        ("TZ=UTC 0 0 * * *", {}, "UnsupportedSchedule", 'CRON_TZ or TZ used in schedule "TZ=UTC 0 0 * * *" is not off'),
    ],
)
def test_what_is_wrong_is_told(schedule, spec, reason, message):
    (saying,) = plan(cronjob=cronjob(schedule, **spec), jobs=[], now=at(10)).says
    assert (saying.reason, saying.type) == (reason, "Warning")
    assert saying.message.startswith(message)


def test_time_zones():
    cron = cronjob("0 6 * * *", timeZone="Asia/Tokyo")
    decided = plan(cronjob=cron, jobs=[], now=datetime(2026, 11, 21, 21, 0, tzinfo=UTC))
    assert decided.start == datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
    document = job_of(cron, decided.start, zone=decided.zone)
    assert document["metadata"]["annotations"][SCHEDULED] == "2026-11-22T06:00:00+09:00"
    local = plan(
        cronjob=cronjob("0 6 * * *"),
        jobs=[],
        now=datetime(2026, 11, 21, 21, 0, tzinfo=UTC),
        local=ZoneInfo("Asia/Tokyo"),
    )
    assert local.start == datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
    assert local.zone is UTC


def test_the_document_of_a_job():
    template = {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"completions": 3}}
    cron = cronjob(jobTemplate=template)
    document = job_of(cron, at(10), zone=UTC)
    assert document["metadata"]["name"] == f"report-{int(at(10).timestamp()) // 60}" == name_for(cron, at(10))
    assert document["metadata"]["labels"] == {"a": "b"}
    assert document["metadata"]["annotations"] == {"c": "d", SCHEDULED: "2026-11-21T10:10:00Z"}
    assert document["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": "report",
            "uid": "uid-report",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert document["spec"] == {"completions": 3}


def test_a_schedule_that_changed_counts_from_then():
    cron = cronjob("*/5 * * * *", status={"lastScheduleTime": at(0)})
    assert plan(cronjob=cron, jobs=[], now=at(31)).start == at(30)
    changed = plan(cronjob=cron, jobs=[], now=at(31), not_before=at(31))
    assert changed.start is None
    assert changed.requeue_after == pytest.approx(240, abs=1)
    assert plan(cronjob=cron, jobs=[], now=at(35), not_before=at(31)).start == at(35)


def test_jobs_that_went_missing_leave_the_list():
    cron = cronjob()
    gone, kept = job(cron, at(10)), job(cron, at(20))
    decided = plan(cronjob=running(cron, gone, kept, last=at(20)), jobs=[], now=at(21), missing={gone.uid})
    assert [noted.name for noted in decided.status.active] == [kept.name]
    assert reasons(decided) == ["MissingJob"]


def test_a_job_by_hand_is_told_of_and_kept_in_the_history():
    cron = cronjob(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0, status={"lastScheduleTime": at(50)})
    by_hand = job(cron, at(1), name="by-hand")
    decided = plan(cronjob=cron, jobs=[by_hand], now=at(51))
    assert reasons(decided) == ["UnexpectedJob"]
    assert decided.status.active == []
    jobs = [
        job(cron, at(1), name="by-hand", over="Complete"),
        job(cron, at(10), over="Complete"),
        job(cron, at(20), over="Failed"),
        job(cron, at(30)),
    ]
    decided = plan(cronjob=cron, jobs=jobs, now=at(51))
    assert [one.name for one in decided.remove] == ["by-hand", jobs[2].name]
    assert decided.status.last_successful_time == at(11)


def test_no_limit_keeps_everything():
    cron = cronjob(status={"lastScheduleTime": at(50)})
    jobs = [job(cron, at(minute), over="Complete") for minute in range(0, 50, 10)]
    assert plan(cronjob=cron, jobs=jobs, now=at(51)).remove == ()


class World:
    """The API as a CronJob's controller sees it; the controller dies between any two writes."""

    def __init__(self, cron: CronJob) -> None:
        self.cron = cron
        self.jobs: dict[str, Job] = {}
        self.made: list[datetime] = []
        self.now = 0.0

    def sync(self, *, writes: int = 99) -> float | None:
        missing = {noted.uid for noted in self.cron.status.active if noted.name not in self.jobs}
        decided = plan(cronjob=self.cron, jobs=list(self.jobs.values()), now=at(self.now), missing=missing)
        status = decided.status
        steps = []
        for noted in decided.replace:
            steps.append(lambda name=noted.name: self.jobs.pop(name, None))
        if decided.start is not None:
            steps.append(lambda: self.create(decided.start))
            active = [one for one in status.active if one not in decided.replace]
            active.append(reference(job(self.cron, decided.start)))
            status = status.model_copy(update={"active": active, "last_schedule_time": decided.start})
        steps.append(lambda: self.write(status))
        for old in decided.remove:
            steps.append(lambda name=old.name: self.jobs.pop(name, None))
        for step in steps[:writes]:
            step()
        return decided.requeue_after

    def create(self, start: datetime) -> None:
        name = name_for(self.cron, start)
        if name not in self.jobs:
            self.made.append(start)
            self.jobs[name] = job(self.cron, start)

    def write(self, status) -> None:
        self.cron = self.cron.model_copy(update={"status": status})

    def end(self, name: str, over: str) -> None:
        old = self.jobs[name]
        start = old.status.start_time
        self.jobs[name] = job(self.cron, start, over=over, took=max((at(self.now) - start).total_seconds() / 60, 0))

    def running(self) -> list[str]:
        return [name for name, one in self.jobs.items() if one.finished is None]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["* * * * *", "*/3 * * * *", "2-59/7 * * * *", "@every 4m"]),
    st.sampled_from(["Allow", "Forbid", "Replace"]),
    st.data(),
)
def test_each_start_is_made_once_whatever_happens(schedule, policy, data):
    world = World(cronjob(schedule, concurrencyPolicy=policy, successfulJobsHistoryLimit=2, failedJobsHistoryLimit=1))
    for _ in range(data.draw(st.integers(1, 40))):
        action = data.draw(st.sampled_from(["sync", "crash", "time", "time", "succeed", "fail", "lose"]))
        if action == "sync":
            world.sync()
        elif action == "crash":
            world.sync(writes=data.draw(st.integers(0, 3)))
        elif action == "time":
            world.now += data.draw(st.sampled_from([0.25, 1, 3, 10]))
        elif world.running():
            name = data.draw(st.sampled_from(world.running()))
            if action == "lose":
                # Who loses a Job before it was noted has lost the note of its start too.
                world.sync()
                world.jobs.pop(name, None)
            else:
                world.end(name, "Complete" if action == "succeed" else "Failed")
        assert len(set(world.made)) == len(world.made)
        assert world.made == sorted(world.made)
        assert all(start <= at(world.now) for start in world.made)
        if policy != "Allow":
            assert len(world.running()) <= 1
    for _ in range(3):
        world.sync()
    assert {noted.name for noted in world.cron.status.active} == set(world.running())
    finished = [one for one in world.jobs.values() if one.finished is not None]
    assert sum(one.finished.type == "Complete" for one in finished) <= 2
    assert sum(one.finished.type == "Failed" for one in finished) <= 1
    if world.made:
        assert world.cron.status.last_schedule_time == world.made[-1]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["* * * * *", "*/5 10-11 * * *", "7 * * * *"]), st.integers(0, 90), st.integers(1, 300))
def test_a_controller_that_comes_when_told_to_misses_nothing(schedule, begins, looks):
    world = World(cronjob(schedule, created=begins))
    world.now = looked = begins
    for _ in range(looks):
        looked, wait = world.now, world.sync()
        assert wait is not None
        world.now += wait / 60
    expected, moment = [], parse(schedule).next(at(begins))
    while moment <= at(looked):
        expected.append(moment)
        moment = parse(schedule).next(moment)
    assert world.made == expected
