from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.replicaset.plan import BURST, plan

from .builders import at, pod, replicaset

NOW = at(1000)


def decide(rs, pods, *, now=NOW, **more):
    return plan(replicaset=rs, pods=pods, now=now, **more)


def test_missing_pods_are_made_and_surplus_ones_deleted():
    assert decide(replicaset(replicas=3), [pod()]).create == 2
    assert len(decide(replicaset(replicas=1), [pod(), pod(), pod()]).delete) == 2


def test_ended_and_terminating_pods_do_not_count():
    pods = [pod(phase="Failed"), pod(phase="Succeeded"), pod(deleting=True), pod()]
    decided = decide(replicaset(replicas=2), pods)
    assert decided.create == 1
    assert decided.status.replicas == 1
    assert decided.status.terminating_replicas == 1


def test_a_deletion_that_the_cache_does_not_show_yet_counts():
    pods = [pod("a"), pod("b")]
    decided = decide(replicaset(replicas=1), pods, deleted={"uid-a"})
    assert decided.delete == ()
    assert decided.create == 0


def test_a_replicaset_on_its_way_out_does_nothing():
    decided = decide(replicaset(replicas=5, deleting=True), [])
    assert (decided.create, decided.delete) == (0, ())


def first_to_go(*pods, **more):
    return decide(replicaset(replicas=len(pods) - 1), list(pods), **more).delete[0].name


def test_who_goes_first():
    assert first_to_go(pod("a"), pod("b", node="")) == "b"
    assert first_to_go(pod("a"), pod("b", phase="Pending")) == "b"
    assert first_to_go(pod("a"), pod("b", ready=False)) == "b"
    assert (
        first_to_go(pod("a", annotations={"controller.kubernetes.io/pod-deletion-cost": "5"}), pod("b", created=-900))
        == "b"
    )
    assert first_to_go(pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2"))[0] in "bc"
    assert first_to_go(pod("a", ready=10.0), pod("b", ready=990.0)) == "b"
    assert first_to_go(pod("a"), pod("b", restarts=3)) == "b"
    assert first_to_go(pod("a", created=0), pod("b", created=999)) == "b"


def test_company_is_counted_over_all_replicasets_of_the_owner():
    here, there = pod("a", node="n1"), pod("b", node="n2")
    others = [pod("x", node="n1", owner="rs2"), pod("y", node="n1", owner="rs2")]
    assert first_to_go(here, there, related=[here, there, *others]) == "a"


def test_availability_comes_with_time_and_is_asked_for_again():
    rs = replicaset(replicas=2, min_ready=30)
    pods = [pod(ready=980.0), pod(ready=900.0)]
    decided = decide(rs, pods, now=at(1000))
    assert (decided.status.ready_replicas, decided.status.available_replicas) == (2, 1)
    assert decided.requeue_after is not None and 10 <= decided.requeue_after < 11
    later = decide(rs, pods, now=at(1010.1))
    assert (later.status.available_replicas, later.requeue_after) == (2, None)


pods = st.lists(
    st.builds(
        pod,
        node=st.sampled_from(["", "n1", "n2"]),
        phase=st.sampled_from(["Pending", "Running", "Failed", "Succeeded"]),
        ready=st.booleans(),
        deleting=st.booleans(),
    ),
    max_size=12,
)


@given(pods=pods, replicas=st.integers(0, 600))
def test_carrying_the_plan_out_gives_the_wanted_count(pods, replicas):
    decided = decide(replicaset(replicas=replicas), pods)
    active = [p for p in pods if not p.deleting and p.status.phase not in ("Failed", "Succeeded")]
    assert len(set(map(id, decided.delete))) == len(decided.delete)
    assert all(p in active for p in decided.delete)
    after = len(active) + decided.create - len(decided.delete)
    assert after == replicas or decided.create == BURST
    assert not (decided.create and decided.delete)
    status = decided.status
    assert status.available_replicas <= status.ready_replicas <= status.replicas == len(active)
    serving = [p for p in decided.delete if p.ready]
    idle = [p for p in active if not p.ready and not p.spec.node_name and p not in decided.delete]
    assert not (serving and idle)
