"""Jobs on virtual time: the plan is carried out on made-up pods, with caches that lag as they like."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.job import indexes
from k8slite.controllers.job.counting import FINALIZER
from k8slite.controllers.job.plan import finished, plan
from k8slite.controllers.pods import Pod
from k8slite.kinds.batch import Job

from .builders import at


def job(*, restart_policy: str = "Never", **spec) -> Job:
    return Job.model_validate(
        {
            "metadata": {"name": "work", "namespace": "default", "uid": "uid-job"},
            "spec": {"template": {"spec": {"restartPolicy": restart_policy}}, **spec},
        }
    )


class World:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.pods: dict[str, dict] = {}
        self.now = 0.0
        self.serial = 0
        self.made = 0
        self.started: list[int | None] = []
        self.expired = False

    def seen(self) -> list[Pod]:
        return [
            Pod.model_validate(
                {
                    "metadata": {
                        "name": name,
                        "namespace": "default",
                        "uid": f"uid-{name}",
                        "finalizers": [FINALIZER] if p["tracked"] else [],
                        "creationTimestamp": at(p["created"]),
                        "deletionTimestamp": at(self.now) if p["deleting"] else None,
                        "annotations": {indexes.INDEX: str(p["index"])} if p["index"] is not None else {},
                    },
                    "status": {
                        "phase": p["phase"],
                        "containerStatuses": [
                            {
                                "name": "c",
                                "restartCount": p.get("restarts", 0),
                                "state": {"terminated": {"exitCode": 0, "finishedAt": at(p["ended"])}}
                                if p["ended"] is not None
                                else {},
                            }
                        ],
                    },
                }
            )
            for name, p in self.pods.items()
        ]

    def step(self):
        decided = plan(job=self.job, pods=self.seen(), now=at(self.now))
        self.job = self.job.model_copy(update={"status": decided.status})
        self.expired = decided.expired
        for pod in decided.untrack:
            self.pods[pod.name]["tracked"] = False
        for pod in decided.delete:
            self.pods[pod.name]["deleting"] = True
        for index in decided.create:
            self.serial += 1
            self.started.append(index)
            self.pods[f"p{self.serial}"] = {
                "tracked": True, "created": self.now, "phase": "Running", "deleting": False, "ended": None,
                "index": index,
            }  # fmt: skip
        return decided

    def end(self, phase: str, *, count: int = 1) -> None:
        for pod in [p for p in self.pods.values() if p["phase"] == "Running" and not p["deleting"]][:count]:
            pod["phase"], pod["ended"] = phase, self.now

    def reap(self) -> None:
        self.pods = {n: p for n, p in self.pods.items() if not (p["deleting"] and not p["tracked"])}

    def settle(self) -> None:
        for _ in range(60):
            before = (self.job, str(self.pods))
            self.step()
            self.reap()
            if (self.job, str(self.pods)) == before:
                return
        raise AssertionError("the Job does not settle")

    @property
    def running(self) -> int:
        return sum(1 for p in self.pods.values() if p["phase"] == "Running" and not p["deleting"])

    def over(self):
        condition = finished(self.job)
        return (condition.type, condition.reason) if condition else None


def test_completions_in_parallel():
    world = World(job(completions=5, parallelism=2))
    world.settle()
    assert world.running == 2
    for _ in range(5):
        world.end("Succeeded")
        world.settle()
        assert world.running <= 2
    assert world.over() == ("Complete", "CompletionsReached")
    assert (world.job.status.succeeded, world.job.status.failed, world.job.status.active) == (5, 0, 0)
    assert world.job.status.completion_time is not None
    assert len(world.started) == 5


def test_failures_back_off_and_end_the_job():
    world = World(job(completions=1, backoffLimit=2))
    for expected in (10, 20):
        world.settle()
        assert world.running == 1
        world.end("Failed")
        world.settle()
        assert world.running == 0
        wait = world.step().requeue_after
        assert wait is not None and expected <= wait <= expected + 1
        world.now += expected + 1
    world.settle()
    world.end("Failed")
    world.settle()
    assert world.over() == ("Failed", "BackoffLimitExceeded")
    assert world.job.status.failed == 3


def test_the_deadline_kills_what_runs():
    world = World(job(completions=3, parallelism=3, activeDeadlineSeconds=30))
    world.settle()
    assert 30 <= (world.step().requeue_after or 0) <= 31
    world.now = 31
    world.settle()
    assert world.over() == ("Failed", "DeadlineExceeded")
    assert world.running == 0


def test_suspending_and_resuming():
    world = World(job(completions=2, parallelism=2, suspend=True))
    world.settle()
    assert (world.running, world.job.status.start_time) == (0, None)
    resumed = world.job.spec.model_copy(update={"suspend": False})
    world.job = world.job.model_copy(update={"spec": resumed})
    world.settle()
    assert world.running == 2
    world.job = world.job.model_copy(update={"spec": resumed.model_copy(update={"suspend": True})})
    world.settle()
    assert world.running == 0
    assert world.job.status.failed == 0
    condition = next(c for c in world.job.status.conditions if c.type == "Suspended")
    assert (condition.status, condition.reason) == ("True", "JobSuspended")


def test_a_work_queue_ends_when_one_succeeds_and_none_is_left():
    world = World(job(parallelism=3))
    world.settle()
    world.end("Succeeded")
    world.settle()
    assert (world.running, world.over()) == (2, None)
    world.end("Succeeded", count=2)
    world.settle()
    assert world.over() == ("Complete", "CompletionsReached")


def test_each_index_is_worked_on_until_it_succeeds():
    world = World(job(completions=3, parallelism=2, completionMode="Indexed"))
    world.settle()
    assert world.started == [0, 1]
    world.end("Failed")
    world.settle()
    world.now += 11
    world.settle()
    assert world.started == [0, 1, 0]
    for _ in range(3):
        world.end("Succeeded")
        world.settle()
    assert world.started == [0, 1, 0, 2]
    assert world.over() == ("Complete", "CompletionsReached")
    assert world.job.status.completed_indexes == "0-2"


def test_restarts_in_place_count_against_the_limit():
    world = World(job(restart_policy="OnFailure", backoffLimit=3))
    world.settle()
    next(iter(world.pods.values()))["restarts"] = 3
    world.settle()
    assert world.over() == ("Failed", "BackoffLimitExceeded")


def test_time_to_live():
    world = World(job(completions=1, ttlSecondsAfterFinished=60))
    world.settle()
    world.end("Succeeded")
    world.settle()
    assert not world.expired
    world.now += 61
    world.step()
    assert world.expired


@settings(max_examples=50, deadline=None)
@given(
    completions=st.integers(1, 6),
    parallelism=st.integers(1, 4),
    data=st.data(),
)
def test_every_pod_is_counted_once_whatever_the_order(completions, parallelism, data):
    world = World(job(completions=completions, parallelism=parallelism, backoffLimit=1000))
    succeeded = failed = 0
    for _ in range(data.draw(st.integers(0, 40))):
        action = data.draw(st.sampled_from(["step", "succeed", "fail", "kill", "time", "reap"]))
        running = [p for p in world.pods.values() if p["phase"] == "Running" and not p["deleting"]]
        if action == "step":
            world.step()
        elif action == "succeed" and running:
            world.end("Succeeded")
            succeeded += 1
        elif action == "fail" and running:
            running[0]["phase"], running[0]["ended"] = "Failed", world.now
            failed += 1
        elif action == "kill" and running:
            running[0]["deleting"] = True
            failed += 1
        elif action == "time":
            world.now += 700
        else:
            world.reap()
        assert world.running <= parallelism
        assert world.job.status.succeeded <= succeeded
    while world.over() is None:
        world.settle()
        if running := [p for p in world.pods.values() if p["phase"] == "Running" and not p["deleting"]]:
            running[0]["phase"], running[0]["ended"] = "Succeeded", world.now
            succeeded += 1
        world.now += 700
    assert world.job.status.succeeded == succeeded >= completions
    assert not any(p["tracked"] for p in world.pods.values())


@given(st.sets(st.integers(0, 40)))
def test_index_texts(numbers):
    assert indexes.parse(indexes.render(numbers)) == numbers


def test_index_texts_are_kubernetes():
    assert indexes.render([0, 1, 2, 5, 7, 8]) == "0-2,5,7,8"
