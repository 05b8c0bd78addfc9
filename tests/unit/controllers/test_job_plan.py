"""What becomes of a Job, case by case."""

from __future__ import annotations

import pytest

from k8slite.controllers.job.counting import MOST_UNCOUNTED
from k8slite.controllers.job.staffing import NewPod
from k8slite.controllers.job.template import name_prefix, pod_of
from k8slite.controllers.job.terms import FINALIZER

from .job_world import World, job


def test_completions_in_parallel():
    world = World(job(completions=5, parallelism=2))
    world.settle()
    assert world.running == 2
    for _ in range(5):
        world.end("Succeeded")
        world.settle()
        assert world.running <= 2
    assert world.over() == ("Complete", "CompletionsReached")
    assert world.condition("SuccessCriteriaMet") == ("True", "CompletionsReached")
    assert (world.job.status.succeeded, world.job.status.failed, world.job.status.active) == (5, 0, 0)
    assert world.job.status.completion_time is not None
    assert len(world.started) == 5
    assert world.events == ["Completed"]


def test_what_runs_and_is_ready_is_told():
    world = World(job(completions=3, parallelism=3))
    world.settle()
    for pod in world.working()[:2]:
        pod.ready = True
    world.settle()
    assert (world.job.status.active, world.job.status.ready, world.job.status.terminating) == (3, 2, 0)


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
        world.later(expected + 1)
    world.settle()
    world.end("Failed")
    world.settle()
    assert world.over() == ("Failed", "BackoffLimitExceeded")
    assert world.job.status.failed == 3
    assert world.events == ["BackoffLimitExceeded"]


def test_the_wait_is_six_minutes_at_most_and_a_success_ends_it():
    world = World(job(completions=2, parallelism=2, backoffLimit=100))
    world.settle()
    for _ in range(10):
        world.end_one(world.working()[0], "Failed")
        world.settle()
        wait = world.step().requeue_after
        assert wait is not None and wait <= 361
        world.later(wait)
        world.settle()
        assert world.running == 2
    assert wait > 355
    world.end_one(world.working()[0], "Failed")
    world.later(1)
    world.end_one(world.working()[0], "Succeeded")
    world.settle()
    assert world.running == 1


def test_the_job_fails_only_when_its_pods_are_gone():
    world = World(job(completions=3, parallelism=3, backoffLimit=0))
    world.settle()
    world.end("Failed")
    world.step()
    assert world.condition("FailureTarget") == ("True", "BackoffLimitExceeded")
    assert world.over() is None
    for _ in range(5):
        world.step()
    assert world.over() is None
    assert (world.job.status.active, world.job.status.terminating) == (0, 2)
    assert world.job.status.failed == 3
    world.settle()
    assert world.over() == ("Failed", "BackoffLimitExceeded")


def test_the_deadline_kills_what_runs():
    world = World(job(completions=3, parallelism=3, activeDeadlineSeconds=30))
    world.settle()
    assert 30 <= (world.step().requeue_after or 0) <= 31
    world.later(31)
    world.settle()
    assert world.over() == ("Failed", "DeadlineExceeded")
    assert world.running == 0


def test_suspending_and_resuming():
    world = World(job(completions=2, parallelism=2, suspend=True, activeDeadlineSeconds=60))
    world.settle()
    assert (world.running, world.job.status.start_time) == (0, None)
    world.spec(suspend=False)
    world.settle()
    assert world.running == 2
    started = world.job.status.start_time
    world.spec(suspend=True)
    world.settle()
    assert world.running == 0
    assert (world.job.status.active, world.job.status.failed) == (0, 0)
    assert world.condition("Suspended") == ("True", "JobSuspended")
    world.later(1000)
    assert world.step().requeue_after is None
    world.spec(suspend=False)
    world.settle()
    assert world.condition("Suspended") == ("False", "JobResumed")
    assert world.job.status.start_time == world.moment() != started
    assert (world.running, world.over()) == (2, None)
    assert world.events == ["Suspended", "Resumed", "Suspended", "Resumed"]


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
    world.later(11)
    world.settle()
    assert world.started == [0, 1, 0]
    for _ in range(3):
        world.end("Succeeded")
        world.settle()
    assert world.started == [0, 1, 0, 2]
    assert world.over() == ("Complete", "CompletionsReached")
    assert world.job.status.completed_indexes == "0-2"
    assert world.job.status.succeeded == 3


def test_of_two_pods_with_one_index_one_goes():
    world = World(job(completions=2, parallelism=2, completionMode="Indexed"))
    world.settle()
    double = world.of(0)
    world.create(NewPod(0))
    double.ready = True
    world.settle()
    assert [pod.name for pod in world.working() if pod.index == 0] == [double.name]
    assert world.job.status.failed == 0


def test_an_indexed_job_is_made_smaller_and_larger():
    world = World(job(completions=4, parallelism=4, completionMode="Indexed"))
    world.settle()
    world.end_one(world.of(3))
    world.settle()
    world.spec(completions=2, parallelism=2)
    world.settle()
    assert sorted(pod.index for pod in world.working()) == [0, 1]
    assert (world.job.status.completed_indexes, world.job.status.succeeded, world.job.status.failed) == ("", 0, 0)
    world.spec(completions=4, parallelism=4)
    world.settle()
    assert sorted(pod.index for pod in world.working()) == [0, 1, 2, 3]
    world.end(count=4)
    world.settle()
    assert world.over() == ("Complete", "CompletionsReached")


def test_less_parallelism_removes_pods_that_count_as_nothing():
    world = World(job(completions=10, parallelism=5))
    world.settle()
    world.working()[4].ready = True
    kept = world.working()[4].name
    world.spec(parallelism=1)
    world.settle()
    assert [pod.name for pod in world.working()] == [kept]
    assert world.job.status.failed == 0
    world.spec(parallelism=0)
    world.settle()
    assert (world.running, world.over()) == (0, None)


@pytest.mark.parametrize(("limit", "restarts"), [(3, 3), (0, 1)])
def test_restarts_in_place_count_against_the_limit(limit, restarts):
    world = World(job(restart_policy="OnFailure", backoffLimit=limit))
    world.settle()
    world.working()[0].restarts = restarts - 1
    world.settle()
    assert world.over() is None
    world.working()[0].restarts = restarts
    world.settle()
    assert world.over() == ("Failed", "BackoffLimitExceeded")


@pytest.mark.parametrize(("policy", "meanwhile"), [("TerminatingOrFailed", 1), ("Failed", 0)])
def test_pods_that_are_deleted_are_replaced_at_once_or_when_they_have_ended(policy, meanwhile):
    world = World(job(completions=1, podReplacementPolicy=policy))
    world.settle()
    world.delete(world.working()[0])
    for _ in range(4):
        world.step()
    assert world.running == meanwhile
    assert world.job.status.terminating == 1
    assert world.job.status.failed == meanwhile
    world.kubelets()
    world.settle()
    world.later(11)
    world.settle()
    assert (world.running, world.job.status.failed) == (1, 1)


class TestPerIndex:
    def test_indexes_fail_for_themselves(self):
        world = World(job(completions=3, parallelism=3, completionMode="Indexed", backoffLimitPerIndex=1))
        world.settle()
        world.end_one(world.of(0), "Failed")
        world.settle()
        assert sorted(pod.index for pod in world.working()) == [1, 2]
        wait = world.step().requeue_after
        assert wait is not None and 10 <= wait <= 11
        assert world.job.status.failed == 0
        world.later(11)
        world.settle()
        assert world.of(0).annotations["batch.kubernetes.io/job-index-failure-count"] == "1"
        assert (world.job.status.failed, world.job.status.failed_indexes) == (1, "")
        world.end_one(world.of(0), "Failed")
        world.settle()
        assert (world.job.status.failed, world.job.status.failed_indexes) == (2, "0")
        world.end(count=2)
        world.settle()
        assert world.over() == ("Failed", "FailedIndexes")
        assert (world.job.status.completed_indexes, world.job.status.failed_indexes) == ("1,2", "0")
        assert world.job.status.succeeded == 2

    def test_too_many_failed_indexes_end_the_job(self):
        terms = {"completions": 5, "parallelism": 5, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
        world = World(job(maxFailedIndexes=1, **terms))
        world.settle()
        world.end_one(world.of(1), "Failed")
        world.settle()
        assert world.over() is None
        world.end_one(world.of(3), "Failed")
        world.settle()
        assert world.over() == ("Failed", "MaxFailedIndexesExceeded")
        assert world.job.status.failed_indexes == "1,3"
        assert world.job.status.failed == 5

    @pytest.mark.parametrize(("first", "fate"), [("Failed", ("", "0")), ("Succeeded", ("0", ""))])
    def test_an_index_has_one_fate_whoever_works_on_it_later(self, first, fate):
        terms = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
        world = World(job(**terms))
        world.settle()
        world.end_one(world.of(0), first)
        world.settle()
        world.create(NewPod(0))
        world.end_one(world.of(0), "Succeeded" if first == "Failed" else "Failed")
        world.settle()
        assert (world.job.status.completed_indexes, world.job.status.failed_indexes) == fate

    def test_ignored_failures_are_told_apart(self):
        rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        terms = {"completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
        world = World(job(podFailurePolicy={"rules": rules}, **terms))
        world.settle()
        pod = world.of(0)
        pod.conditions = [{"type": "DisruptionTarget", "status": "True"}]
        world.end_one(pod, "Failed")
        world.settle()
        world.later(11)
        world.settle()
        replacement = world.of(0)
        assert replacement.annotations["batch.kubernetes.io/job-index-failure-count"] == "0"
        assert replacement.annotations["batch.kubernetes.io/job-index-ignored-failure-count"] == "1"
        assert world.job.status.failed == 0


class TestFailurePolicy:
    @pytest.mark.parametrize(
        ("rule", "code", "container", "matches"),
        [
            ({"operator": "In", "values": [42]}, 42, None, True),
            ({"operator": "In", "values": [42]}, 1, None, False),
            ({"operator": "NotIn", "values": [42]}, 1, None, True),
            ({"operator": "NotIn", "values": [42]}, 42, None, False),
            ({"operator": "In", "values": [42]}, 42, "c", True),
            ({"operator": "In", "values": [42]}, 42, "other", False),
        ],
    )
    def test_exit_codes(self, rule, code, container, matches):
        rule = rule | ({"containerName": container} if container else {})
        policy = {"rules": [{"action": "FailJob", "onExitCodes": rule}]}
        world = World(job(completions=2, parallelism=2, podFailurePolicy=policy))
        world.settle()
        world.end("Failed", code=code)
        world.settle()
        assert world.over() == (("Failed", "PodFailurePolicy") if matches else None)
        if matches:
            message = f"Container c for pod default/p1 failed with exit code {code} matching FailJob rule at index 0"
            assert world.job.finished.message == message

    def test_conditions(self):
        rules = [{"action": "FailJob", "onPodConditions": [{"type": "ConfigIssue", "status": "True"}]}]
        world = World(job(podFailurePolicy={"rules": rules}, completions=1))
        world.settle()
        world.working()[0].conditions = [{"type": "ConfigIssue", "status": "True"}]
        world.end("Failed")
        world.settle()
        assert world.job.finished.message == "Pod default/p1 has condition ConfigIssue matching FailJob rule at index 0"

    @pytest.mark.parametrize(("action", "failed", "over"), [("Ignore", 0, False), ("Count", 1, True)])
    def test_what_counts_against_the_limit(self, action, failed, over):
        rules = [
            {"action": action, "onExitCodes": {"operator": "In", "values": [1]}},
            {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [2]}},
        ]
        world = World(job(podFailurePolicy={"rules": rules}, completions=1, backoffLimit=0))
        world.settle()
        world.end("Failed", code=1)
        world.settle()
        assert world.job.status.failed == failed
        assert (world.over() is not None) == over

    def test_an_index_fails_at_once(self):
        rules = [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3]}}]
        terms = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 5}
        world = World(job(podFailurePolicy={"rules": rules}, **terms))
        world.settle()
        world.end_one(world.of(0), "Failed", code=3)
        world.settle()
        assert world.job.status.failed_indexes == "0"
        world.end()
        world.settle()
        assert world.over() == ("Failed", "FailedIndexes")


class TestSuccessPolicy:
    @pytest.mark.parametrize(
        ("rule", "succeed", "met"),
        [
            ({"succeededIndexes": "0-1"}, [0, 1], True),
            ({"succeededIndexes": "0-1"}, [0, 2], False),
            ({"succeededCount": 2}, [1, 3], True),
            ({"succeededIndexes": "0,2-3", "succeededCount": 2}, [2, 3], True),
            ({"succeededIndexes": "0,2-3", "succeededCount": 2}, [1, 3], False),
        ],
    )
    def test_rules(self, rule, succeed, met):
        terms = {"completions": 5, "parallelism": 5, "completionMode": "Indexed"}
        world = World(job(successPolicy={"rules": [{"succeededCount": 5}, rule]}, **terms))
        world.settle()
        for index in succeed:
            world.end_one(world.of(index))
        world.settle()
        assert world.over() == (("Complete", "SuccessPolicy") if met else None)
        if met:
            assert world.job.finished.message == "Matched rules at index 1"
            assert (world.job.status.succeeded, world.job.status.failed) == (2, 0)
            assert world.running == 0

    def test_all_indexes_come_first(self):
        terms = {"completions": 2, "parallelism": 2, "completionMode": "Indexed"}
        world = World(job(successPolicy={"rules": [{"succeededCount": 2}]}, **terms))
        world.settle()
        world.end(count=2)
        world.settle()
        assert world.over() == ("Complete", "SuccessPolicy")


def test_more_successes_than_wanted_are_told():
    world = World(job(completions=1, parallelism=1))
    world.settle()
    world.create(NewPod(0))
    world.end(count=2)
    world.settle()
    assert world.over() == ("Complete", "CompletionsReached")
    assert world.events == ["TooManySucceededPods", "Completed"]


def test_a_finished_job_holds_no_pod():
    world = World(job(completions=1))
    world.settle()
    world.end()
    world.settle()
    late = world.create(NewPod(0)) or list(world.pods.values())[-1]
    world.step()
    assert not late.tracked
    assert world.job.status.succeeded == 1


def test_a_job_that_is_deleted_makes_no_pods_and_holds_none():
    world = World(job(completions=3, parallelism=2))
    world.settle()
    world.end()
    metadata = world.job.metadata.model_copy(update={"deletion_timestamp": world.moment()})
    world.job = world.job.model_copy(update={"metadata": metadata})
    world.settle()
    assert len(world.pods) == 2
    assert not any(pod.tracked for pod in world.pods.values())
    assert (world.job.status.succeeded, world.job.status.failed) == (1, 0)


def test_nothing_more_than_fits_is_counted_at_once():
    world = World(job(completions=1200, parallelism=1200))
    for _ in range(3):
        world.step()
    world.end(count=1200)
    decided = world.step()
    assert len(decided.untrack) == len(decided.status.uncounted_terminated_pods.succeeded) == MOST_UNCOUNTED
    world.settle()
    assert (world.job.status.succeeded, world.over()) == (1200, ("Complete", "CompletionsReached"))


def test_pods_are_made_by_500_at_most():
    world = World(job(completions=1200, parallelism=1200))
    assert [len(world.step().create) for _ in range(4)] == [500, 500, 200, 0]


def test_a_pod_whose_finalizer_was_taken_counts_as_nothing_and_is_replaced():
    world = World(job(completions=1))
    world.settle()
    world.working()[0].tracked = False
    world.end()
    world.settle()
    assert (world.job.status.succeeded, world.running) == (0, 1)


def test_the_documents_of_pods():
    world = World(job(completions=2, completionMode="Indexed", backoffLimitPerIndex=1))
    spec = world.job.spec.model_copy(
        update={
            "template": type(world.job.spec.template).model_validate(
                {
                    "metadata": {"labels": {"a": "b"}, "finalizers": ["x/y"]},
                    "spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}]},
                }
            )
        }
    )
    made = pod_of(world.job.model_copy(update={"spec": spec}), NewPod(1, failures=2, ignored_failures=1), "work-1-x")
    meta = made["metadata"]
    assert meta["labels"] == {"a": "b", "batch.kubernetes.io/job-completion-index": "1"}
    assert meta["annotations"] == {
        "batch.kubernetes.io/job-completion-index": "1",
        "batch.kubernetes.io/job-index-failure-count": "2",
        "batch.kubernetes.io/job-index-ignored-failure-count": "1",
    }
    assert meta["finalizers"] == ["x/y", FINALIZER]
    assert meta["generateName"] == "work-1-"
    assert made["spec"]["hostname"] == "work-1"
    assert made["spec"]["containers"][0]["env"][1] == {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}},
    }
    assert "env" not in spec.template.spec["containers"][0] or len(spec.template.spec["containers"][0]["env"]) == 1
    long = world.job.model_copy(update={"metadata": world.job.metadata.model_copy(update={"name": "n" * 63})})
    assert name_prefix(long, NewPod(1234)).endswith("n-1234")
    assert len(name_prefix(long, NewPod(1234))) == 57
