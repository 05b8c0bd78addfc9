"""What a DaemonSet makes and deletes, node by node, and what it says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.controllers.daemonset.backoff import Backoff
from k8slite.controllers.daemonset.placement import Fit
from k8slite.controllers.daemonset.plan import BURST, Plan, plan
from k8slite.controllers.pods import Pod
from k8slite.controllers.revisions import POD_LABEL
from k8slite.kinds.apps import DaemonSet

from .builders import at, daemonset, pod

NEW, OLD = {POD_LABEL: "new"}, {POD_LABEL: "old"}


def decide(
    *pods: Pod,
    of: DaemonSet | None = None,
    now: float = 100.0,
    fits: dict[str, Fit] | None = None,
    deleted: set[str] = frozenset(),  # type: ignore[assignment]
    held: dict[str, float] | None = None,
) -> Plan:
    return plan(
        daemonset=of or daemonset(unavailable=1),
        fits=fits if fits is not None else {"n1": Fit.RUN},
        pods=pods,
        hash_="new",
        now=at(now),
        deleted=deleted,
        held=held,
    )


def names(decided: Plan) -> list[str]:
    return sorted(one.name for one in decided.delete)


def waiting(name: str, node: str, **given: Any) -> Pod:
    """A pod that no scheduler has bound yet."""
    rule = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [rule]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    return pod(name, node="", phase="Pending", ready=False, labels=NEW, affinity=affinity, **given)


def test_a_node_that_fits_gets_a_pod_and_no_other() -> None:
    decided = decide(fits={"n1": Fit.RUN, "n2": Fit.STAY, "n3": Fit.NO})
    assert decided.create == ("n1",)
    assert decided.delete == ()


def test_pods_go_from_nodes_where_none_may_stay() -> None:
    there = [pod(f"on-{node}", node=node, labels=NEW) for node in ("n1", "n2", "n3")]
    decided = decide(*there, fits={"n1": Fit.RUN, "n2": Fit.STAY, "n3": Fit.NO})
    assert (names(decided), decided.create) == (["on-n3"], ())


def test_a_pod_that_waits_for_its_node_counts_there() -> None:
    assert decide(waiting("a", "n1")).create == ()
    gone = decide(waiting("a", "gone"), fits={})
    assert names(gone) == ["a"], "nobody else deletes it"
    assert decide(pod("a", node="gone", labels=NEW), fits={}).delete == (), "the garbage collector does"


def test_of_several_the_eldest_on_the_node_stays() -> None:
    there = [
        pod("b", labels=NEW, created=1),
        pod("c", labels=NEW, created=1),
        pod("a", labels=NEW, created=2),
        waiting("first", "n1", created=0),
    ]
    assert names(decide(*there)) == ["a", "c", "first"]


def test_a_pod_that_is_going_holds_its_node() -> None:
    assert decide(pod("a", labels=NEW, deleting=True)).create == ()
    assert decide(pod("a", labels=NEW), deleted={"uid-a"}).create == ()
    assert decide(pod("a", labels=NEW, deleting=True, phase="Failed")).create == ("n1",)
    assert decide(pod("a", labels=NEW, phase="Failed"), deleted={"uid-a"}).create == ("n1",)
    assert decide(pod("a", labels=NEW, deleting=True), of=daemonset(surge=1)).create == ("n1",)


def test_what_ended_is_replaced() -> None:
    decided = decide(pod("a", labels=NEW, phase="Failed", ready=False))
    assert (names(decided), decided.create) == (["a"], ())
    assert [(node, one.name) for node, one in decided.ended] == [("n1", "a")]
    assert names(decide(pod("a", labels=NEW, phase="Succeeded", ready=False))) == ["a"]


def test_a_failed_pod_stays_while_it_is_held() -> None:
    decided = decide(pod("a", labels=NEW, phase="Failed", ready=False), held={"n1": 7.0})
    assert (decided.delete, decided.ended, decided.requeue_after) == ((), (), 7.0)
    assert names(decide(pod("a", labels=NEW, phase="Succeeded", ready=False), held={"n1": 7.0})) == ["a"]


def test_a_failed_pod_that_is_held_has_no_successor_with_surge_either() -> None:
    failed = pod("a", labels=NEW, phase="Failed", ready=False)
    assert decide(failed, of=daemonset(surge=1), held={"n1": 7.0}).create == ()
    assert decide(failed, of=daemonset(surge=1)).create == ("n1",)


def test_one_sync_does_so_much_and_comes_again() -> None:
    decided = decide(fits={f"n{number}": Fit.RUN for number in range(BURST + 1)})
    assert len(decided.create) == BURST
    assert decided.requeue_after is not None


def test_status() -> None:
    there = [
        pod("a", node="n1", labels=NEW, ready=0.0),
        pod("b", node="n2", labels=OLD, ready=0.0),
        pod("c", node="n3", labels=NEW, ready=95.0),
        pod("d", node="n4", labels=NEW, ready=False),
        pod("e", node="n6", labels=NEW),
        pod("f", node="n7", labels=NEW),
        pod("g", node="gone", labels=NEW),
    ]
    fits = {f"n{number}": Fit.RUN for number in range(1, 6)} | {"n6": Fit.STAY, "n7": Fit.NO, "n8": Fit.NO}
    found = decide(*there, fits=fits, of=daemonset(minReadySeconds=10, generation=4))
    status = found.status
    assert (status.desired_number_scheduled, status.current_number_scheduled) == (5, 4)
    assert (status.number_misscheduled, status.updated_number_scheduled) == (2, 3)
    assert (status.number_ready, status.number_available, status.number_unavailable) == (3, 2, 3)
    assert status.observed_generation == 4
    assert found.requeue_after is not None and 5 < found.requeue_after < 6


def test_on_delete_waits_for_somebody_to_delete() -> None:
    manual = daemonset(updateStrategy={"type": "OnDelete"})
    assert decide(pod("a", labels=OLD), of=manual).delete == ()
    assert decide(of=manual).create == ("n1",)


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        (True, None, []),
        (True, False, []),
        (True, True, ["old"]),
        (False, False, ["old"]),
        (False, True, ["old"]),
    ],
)
def test_with_surge_the_old_pod_goes_when_the_new_one_is_available(
    old: bool, new: bool | None, gone: list[str]
) -> None:
    there = [pod("old", labels=OLD, ready=old)] + ([pod("new", labels=NEW, ready=new)] if new is not None else [])
    decided = decide(*there, of=daemonset(surge=1))
    assert names(decided) == gone
    assert decided.create == (("n1",) if new is None else ())


def test_with_surge_ready_is_not_yet_available() -> None:
    there = [pod("old", labels=OLD), pod("new", labels=NEW, ready=95.0)]
    assert decide(*there, of=daemonset(surge=1, minReadySeconds=10)).delete == ()
    assert names(decide(*there, of=daemonset(surge=1, minReadySeconds=10), now=106.0)) == ["old"]


def test_with_surge_an_old_pod_that_is_of_no_use_gets_a_successor_whatever_the_limit() -> None:
    there = [pod(f"p{number}", node=f"n{number}", labels=OLD, ready=number > 2) for number in range(6)]
    fits = {f"n{number}": Fit.RUN for number in range(6)}
    decided = decide(*there, fits=fits, of=daemonset(surge=1))
    assert decided.create == ("n0", "n1", "n2", "n3")
    assert decided.delete == ()


def test_with_surge_old_pods_on_nodes_where_none_should_run_wait_for_enough_others() -> None:
    leaving = pod("leaving", node="n1", labels=OLD)
    fits = {"n1": Fit.STAY, "n2": Fit.RUN}
    coming = pod("coming", node="n2", labels=NEW, ready=False)
    assert decide(leaving, coming, fits=fits, of=daemonset(surge=1)).delete == ()
    there = pod("coming", node="n2", labels=NEW)
    assert names(decide(leaving, there, fits=fits, of=daemonset(surge=1))) == ["leaving"]


def test_old_pods_that_are_of_no_use_go_at_once() -> None:
    there = [pod(f"p{number}", node=f"n{number}", labels=OLD, ready=number > 1) for number in range(4)]
    fits = {f"n{number}": Fit.RUN for number in range(4)}
    assert names(decide(*there, fits=fits, of=daemonset(unavailable=1))) == ["p0", "p1"]
    assert len(decide(*there, fits=fits, of=daemonset(unavailable="75%")).delete) == 3


@pytest.mark.parametrize(("limit", "gone"), [(1, 1), (2, 2), ("10%", 1), ("30%", 3), ("21%", 3), (0, 1), (99, 10)])
def test_as_many_go_as_may_be_unavailable(limit: int | str, gone: int) -> None:
    there = [pod(f"p{number}", node=f"n{number}", labels=OLD) for number in range(10)]
    fits = {f"n{number}": Fit.RUN for number in range(10)}
    assert len(decide(*there, fits=fits, of=daemonset(unavailable=limit)).delete) == gone


def test_who_is_missing_counts_against_the_limit() -> None:
    fits = {f"n{number}": Fit.RUN for number in range(3)}
    going = pod("a", node="n0", labels=OLD, deleting=True)
    rest = [pod(f"p{number}", node=f"n{number}", labels=OLD) for number in (1, 2)]
    assert decide(going, *rest, fits=fits, of=daemonset(unavailable=1)).delete == ()
    assert len(decide(going, *rest, fits=fits, of=daemonset(unavailable=2)).delete) == 1


def test_an_update_waits_for_nodes_without_pods() -> None:
    decided = decide(pod("a", node="n1", labels=OLD), fits={"n1": Fit.RUN, "n2": Fit.RUN})
    assert (decided.create, decided.delete) == (("n2",), ())


def test_back_off_doubles_and_begins_anew() -> None:
    backoff = Backoff()

    def held(now: float, generation: int = 1) -> float:
        return backoff.held("default/a", uid="u", generation=generation, now=now).get("n1", 0.0)

    assert held(0) == 0
    backoff.failed("default/a", "n1", now=0)
    assert (held(0), held(0.5), held(1.0)) == (1.0, 0.5, 0.0)
    backoff.failed("default/a", "n1", now=2)
    assert held(2) == 2.0
    for _ in range(20):
        backoff.failed("default/a", "n1", now=10)
    assert held(10) == 900.0
    backoff.failed("default/a", "n1", now=10 + 1801)
    assert held(10 + 1801) == 1.0
    backoff.failed("default/a", "n1", now=3000)
    assert held(3000, generation=2) == 0.0
