"""Whatever becomes of a Job's pods and of its controller: every pod is counted once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.job.indexes import Indexes

from .job_world import World, job

PROFILE = settings(max_examples=120, deadline=None)
ACTIONS = ("step", "crash", "succeed", "fail", "kill", "time", "kubelets")


@st.composite
def jobs(draw):
    spec = {
        "completions": draw(st.integers(1, 6)),
        "parallelism": draw(st.integers(1, 4)),
        "podReplacementPolicy": draw(st.sampled_from(["TerminatingOrFailed", "Failed"])),
        "backoffLimit": 1000,
    }
    mode = draw(st.sampled_from(["NonIndexed", "Indexed", "PerIndex"]))
    if mode != "NonIndexed":
        spec["completionMode"] = "Indexed"
    if mode == "PerIndex":
        spec["backoffLimitPerIndex"] = draw(st.integers(0, 2))
        spec["maxFailedIndexes"] = draw(st.sampled_from([None, 1]))
    return job(**spec)


def finish(world: World) -> None:
    """Let the rest go well."""
    for _ in range(60):
        world.settle()
        if world.over() is not None:
            return
        world.end(count=10)
        world.later(400)
    raise AssertionError("the Job does not end")


class Bystander:
    """Counts by what it sees of the pods, and knows nothing of the plan."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.fates: dict[str, str] = {}
        self.dropped: set[str] = set()

    def look(self) -> None:
        """Invariants that hold between any two writes."""
        world = self.world
        spec, status = world.job.spec, world.job.status
        indexed = spec.completion_mode == "Indexed"
        if not indexed:
            assert world.running <= spec.parallelism
        indexes = [pod.index for pod in world.working()]
        assert not indexed or len(set(indexes)) == len(indexes) <= spec.parallelism
        succeeded = {name for name, fate in self.fates.items() if fate == "Succeeded"}
        assert status.succeeded <= min(len(succeeded), spec.completions)
        assert status.failed <= len(world.started) - len(succeeded) + len(self.dropped)
        if indexed:
            done = Indexes.parse(status.completed_indexes, below=spec.completions)
            assert done.count == status.succeeded
            broken = Indexes.parse(status.failed_indexes or "", below=spec.completions)
            assert done.common(broken) == 0


@PROFILE
@given(jobs(), st.data())
def test_every_pod_is_counted_once_whatever_happens(made, data):
    world = World(made)
    bystander = Bystander(world)
    for _ in range(data.draw(st.integers(0, 40))):
        action = data.draw(st.sampled_from(ACTIONS))
        working = world.working()
        if action == "step":
            world.step()
        elif action == "crash":
            for _ in zip(range(data.draw(st.integers(1, 8))), world.sync(), strict=False):
                bystander.look()
        elif action in ("succeed", "fail") and working:
            pod = data.draw(st.sampled_from(working))
            world.end_one(pod, "Succeeded" if action == "succeed" else "Failed")
            bystander.fates[pod.name] = pod.phase
        elif action == "kill" and working:
            pod = data.draw(st.sampled_from(working))
            world.delete(pod)
            bystander.fates[pod.name] = "Failed"
        elif action == "time":
            world.later(data.draw(st.sampled_from([1, 11, 400])))
        else:
            world.kubelets()
        bystander.look()
    before = {pod.name for pod in world.working()}
    judged = any(c.type in ("FailureTarget", "SuccessCriteriaMet") for c in world.job.status.conditions)
    finish(world)
    assert not any(pod.tracked for pod in world.pods.values())
    spec, status = world.job.spec, world.job.status
    # Who fails is known; who was let go well, too; those that were deleted because the Job failed count as failed.
    failures = sum(1 for fate in bystander.fates.values() if fate == "Failed")
    if world.over()[0] == "Complete":
        assert status.succeeded == spec.completions
        assert status.failed == failures
        assert len(world.started) == status.succeeded + status.failed
    elif not judged and not before:
        assert status.failed >= failures
    if spec.completion_mode == "Indexed" and world.over()[0] == "Complete":
        assert status.completed_indexes == str(Indexes.of(range(spec.completions)))


@PROFILE
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_suspending_at_any_time_counts_nothing_twice(completions, parallelism, data):
    world = World(job(completions=completions, parallelism=parallelism, backoffLimit=1000))
    succeeded = 0
    for _ in range(data.draw(st.integers(0, 25))):
        action = data.draw(st.sampled_from(["suspend", "resume", "step", "crash", "succeed", "kubelets"]))
        if action in ("suspend", "resume"):
            world.spec(suspend=action == "suspend")
        elif action == "step":
            world.step()
        elif action == "crash":
            for _ in zip(range(data.draw(st.integers(1, 6))), world.sync(), strict=False):
                pass
        elif action == "succeed" and (tracked := [pod for pod in world.working() if pod.tracked]):
            world.end_one(tracked[0])
            succeeded += 1
        else:
            world.kubelets()
        assert world.running <= parallelism
        assert world.job.status.failed == 0
        assert world.job.status.succeeded <= succeeded
    world.spec(suspend=False)
    finish(world)
    assert (world.job.status.succeeded, world.job.status.failed) == (completions, 0)


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.integers(0, 70))
def test_sets_of_indexes_are_sets(some, others, below):
    one, other = Indexes.of(some), Indexes.of(others)
    assert Indexes.parse(str(one), below=100) == one
    assert set((one | other).free(100)) == set(range(100)) - some - others
    assert one.common(other) == len(some & others)
    assert one.count == len(some)
    assert all((number in one) == (number in some) for number in range(70))
    assert set(one.free(below)) == set(range(below)) - some
    assert Indexes.parse(str(one), below=below) == Indexes.of(n for n in some if n < below)


def test_texts_of_indexes_are_kubernetes():
    assert str(Indexes.of([0, 1, 2, 5, 7, 8])) == "0-2,5,7,8"
    assert Indexes.parse("nonsense,3-x,5-4,1", below=9) == Indexes.of([1])
