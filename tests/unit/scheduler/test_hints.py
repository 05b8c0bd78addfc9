"""Which rejected pods an event wakes: all that it can help, and hardly any others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.clock import VirtualClock
from k8slite.scheduler.change import Change, Event
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Cycle, Placement
from k8slite.scheduler.history import LIMIT
from k8slite.scheduler.profile import Profile
from k8slite.scheduler.promises import Promises
from k8slite.scheduler.queue import Place, SchedulingQueue
from k8slite.scheduler.reporting import Reporter
from k8slite.scheduler.shape import Shape, shape_of
from k8slite.scheduler.view import Node, Pod

from .builders import default_profile, node, pod
from .running import Api

HOSTNAME = "kubernetes.io/hostname"


class Desk:
    """A queue over columns, decisions, and the events that both bring; binding always succeeds."""

    def __init__(self, *nodes: Node, profile: Profile | None = None) -> None:
        self.columns = Columns()
        self.clock = VirtualClock()
        self.profile = profile or default_profile(self.columns)
        self.queue = SchedulingQueue({"default-scheduler": self.profile}, clock=self.clock, columns=self.columns)
        self.cycle = Cycle(self.profile, random=Random(1))
        reporter = Reporter(Api(), events={}, clock=self.clock)
        self.promises = Promises(self.columns, queue=self.queue, reporter=reporter)
        self.refused: set[str] = set()
        self.tried: list[str] = []
        self.pods: dict[str, Pod] = {}
        self.have(*nodes)

    def have(self, *nodes: Node) -> None:
        for each in nodes:
            self.queue.changed(self.columns.set_node(each))

    def lose(self, name: str) -> None:
        self.queue.changed(self.columns.remove_node(name))

    def put(self, *pods: Pod) -> None:
        for each in pods:
            before, self.pods[each.uid] = self.pods.get(each.uid), each
            self.queue.put(each, shape_of(each))
            self.promises.follow(before, each, shape_of(each))

    def promise(self, name: str, node: str) -> None:
        """Somebody nominates a node for a pod that waits."""
        pod = self.pods[f"uid-{name}"]
        self.put(pod.model_copy(update={"status": pod.status.model_copy(update={"nominated_node_name": node})}))

    def leave(self, name: str) -> None:
        """A pod is deleted, wherever it is."""
        uid = f"uid-{name}"
        self.pods.pop(uid, None)
        self.queue.delete(uid)
        self.promises.end(uid)
        self.queue.changed(self.columns.remove(uid))

    def work(self) -> list[str]:
        """Try all that can be tried; who was."""
        self.tried = []
        while popped := self.queue.pop(8):
            for waiting in popped:
                self.tried.append(waiting.pod.name)
                self.queue.begin(waiting)
                decision = self.cycle.decide(waiting.pod, waiting.shape, self.columns)
                if isinstance(decision, Placement) and waiting.pod.name in self.refused:
                    self.queue.reject(waiting, frozenset({"Permit"}))
                elif isinstance(decision, Placement):
                    self.promises.end(waiting.pod.uid, placed=decision.node)
                    self.queue.placed(waiting, self.columns.place(waiting.pod, waiting.shape, decision.node))
                    self.queue.done(waiting.pod.uid)
                else:
                    self.queue.reject(waiting, decision.rejected_by)
        return self.tried

    def placed(self) -> dict[str, str]:
        places = {each.name: self.columns.node_of(uid) for uid, each in self.pods.items()}
        return {name: where for name, where in places.items() if where}


def big(name: str, **more: Any) -> Pod:
    """A pod that fills a node."""
    return pod(name, requests={"cpu": "4"}, **more)


def test_only_those_are_woken_whom_the_event_helps() -> None:
    desk = Desk(node("a", labels={"disk": "ssd"}))
    desk.put(big("first"), big("second"), pod("choosy", nodeSelector={"disk": "hdd"}))
    assert desk.work() == ["first", "second", "choosy"]
    desk.have(node("a", labels={"disk": "hdd"}))
    assert desk.work() == ["choosy"]
    desk.leave("choosy")
    assert desk.work() == [], "it took no cpu"
    desk.leave("first")
    assert desk.work() == ["second"]


def test_a_node_that_helps_nobody_wakes_nobody() -> None:
    desk = Desk()
    desk.put(big("a"), big("b"))
    desk.work()
    desk.have(node("small", allocatable={"cpu": "1"}), node("closed", unschedulable=True))
    desk.have(node("tainted", taints=["gpu=yes:NoSchedule"]))
    assert desk.work() == []


def test_an_obstacle_that_was_not_there_at_the_attempt_is_watched_too() -> None:
    desk = Desk(node("small", allocatable={"cpu": "1"}))
    desk.put(big("a"))
    desk.work()
    desk.have(node("large", taints=["gpu=yes:NoSchedule"]))
    assert desk.work() == []
    desk.have(node("large"))
    assert desk.work() == ["a"]
    assert desk.placed() == {"a": "large"}


def test_room_for_one_wakes_one_of_many() -> None:
    desk = Desk(node("n"))
    desk.put(*(big(f"p{number}") for number in range(500)))
    assert len(desk.work()) == 500
    desk.leave("p0")
    assert desk.work() == ["p1"], "who has waited longest"
    assert desk.placed() == {"p1": "n"}


def test_room_for_many_wakes_as_many_and_hardly_more() -> None:
    desk = Desk(node("n"))
    desk.put(*(pod(f"p{number}", requests={"cpu": "4"}) for number in range(500)))
    desk.work()
    desk.have(*(node(f"n{number}", allocatable={"cpu": "40"}) for number in range(10)))
    assert len(desk.work()) <= 101 + 32
    assert len(desk.placed()) == 101


def test_who_is_sent_out_and_gets_lost_is_replaced() -> None:
    desk = Desk(node("n"))
    desk.put(big("running"), *(big(f"p{number}") for number in range(5)))
    desk.work()
    desk.leave("running")
    assert desk.queue.place_of("uid-p0") is Place.BACKOFF
    desk.leave("p0")
    assert desk.work() == ["p1"]
    desk.leave("p1")
    assert desk.queue.place_of("uid-p2") is Place.BACKOFF
    desk.put(pod("p2", requests={"cpu": "8"}))
    assert sorted(desk.work()) == ["p2", "p3"]
    assert desk.placed() == {"p3": "n"}


def test_priorities_are_woken_side_by_side_and_the_higher_goes_first() -> None:
    desk = Desk(node("n"))
    desk.put(big("running", priority=1000), big("low"), big("high", priority=100))
    desk.work()
    asyncio.run(desk.clock.advance(20))
    desk.leave("running")
    desk.work()
    assert desk.placed() == {"high": "n"}


def test_what_happens_during_an_attempt_is_judged_when_it_fails() -> None:
    desk = Desk(node("n"))
    desk.put(big("a"), big("b"))
    desk.work()
    waiting = desk.queue
    desk.put(big("c"), pod("d", nodeSelector={"disk": "ssd"}))
    (c, d) = waiting.pop(2)
    waiting.begin(c)
    waiting.begin(d)
    desk.have(node("small", allocatable={"cpu": "1"}), node("tainted", taints=["k=v:NoSchedule"]))
    waiting.reject(c, frozenset({"NodeResourcesFit"}))
    assert waiting.place_of("uid-c") is Place.UNSCHEDULABLE, "nothing of it helps"
    desk.have(node("ssd", labels={"disk": "ssd"}, allocatable={"cpu": "1"}))
    waiting.reject(d, frozenset({"NodeAffinity"}))
    assert waiting.place_of("uid-d") is Place.BACKOFF
    desk.work()
    assert desk.placed() == {"a": "n", "d": "ssd"}


def test_what_nobody_remembers_may_have_helped() -> None:
    desk = Desk(node("n"))
    desk.put(pod("a", nodeSelector={"disk": "ssd"}))
    (a,) = desk.queue.pop(1)
    desk.queue.begin(a)
    desk.have(node("ssd", labels={"disk": "ssd"}))
    for number in range(2 * LIMIT):
        desk.queue.changed(Event(Change.OTHER, row=number))
    desk.queue.reject(a, frozenset({"NodeAffinity"}))
    assert desk.queue.place_of("uid-a") is Place.BACKOFF


def test_more_than_is_remembered_is_judged_in_time() -> None:
    desk = Desk(node("n"))
    desk.put(pod("a", nodeSelector={"disk": "ssd"}))
    desk.work()
    desk.have(node("ssd", labels={"disk": "ssd"}))
    for _ in range(2 * LIMIT):
        desk.queue.changed(Event(Change.OTHER))
    assert desk.work() == ["a"]


def test_a_pod_that_moved_to_another_node_makes_room_on_the_first() -> None:
    desk = Desk(node("a"), node("b"))
    desk.put(big("running"), big("other"), big("waiting"))
    desk.work()
    running = desk.pods["uid-running"]
    elsewhere = "b" if desk.placed()["running"] == "a" else "a"
    desk.leave("other")
    desk.work()
    desk.put(big("late"))
    desk.work()
    desk.queue.changed(desk.columns.place(running, shape_of(running), "c"))
    assert desk.work() == ["late"]
    assert elsewhere in desk.placed().values()


class Rejecting:
    """Rejects pods before nodes are looked at, or in the end; hints that only certain objects help."""

    name = "Rejecting"
    cures = Change.STORAGE

    def __init__(self) -> None:
        self.asked = 0
        self.open = False

    def pre_filter(self, pod: Pod, columns: Columns) -> str:
        return "" if self.open or not pod.metadata.labels.get("needs") else "no"

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        self.asked += 1
        assert event.new is not None
        return event.new.name == pod.metadata.labels["needs"]


def test_a_plugin_says_itself_whether_an_event_helps_and_pod_by_pod() -> None:
    rejecting = Rejecting()
    base = default_profile()
    profile = replace(base, pre_filter=(rejecting,), cures={**base.cures, "Rejecting": rejecting.cures})
    desk = Desk(node("n"), profile=profile)
    desk.put(pod("a", labels={"needs": "x"}), pod("b", labels={"needs": "y"}))
    desk.work()
    desk.have(node("m"))
    desk.queue.changed(Event(Change.NAMESPACE, new=pod("x")))
    assert (desk.work(), rejecting.asked) == ([], 0), "that is not for it to say"
    rejecting.open = True
    desk.queue.changed(Event(Change.STORAGE, new=pod("y")))
    assert desk.work() == ["b"]
    desk.put(pod("a", labels={"needs": ""}))
    assert desk.work() == ["a"]


def test_a_hint_that_fails_is_taken_for_a_yes(caplog: pytest.LogCaptureFixture) -> None:
    rejecting = Rejecting()
    base = default_profile()
    profile = replace(base, pre_filter=(rejecting,), cures={**base.cures, "Rejecting": rejecting.cures})
    desk = Desk(node("n"), profile=profile)
    desk.put(pod("a", labels={"needs": "x"}))
    desk.work()
    desk.queue.changed(Event(Change.STORAGE, new=None))
    assert desk.work() == ["a"]
    assert 'running queueing hint of plugin "Rejecting"' in caplog.text


def test_who_is_not_let_keep_a_place_is_not_woken_by_leaving_it_and_waits() -> None:
    desk = Desk(node("n"))
    desk.put(pod("a"))
    (a,) = desk.queue.pop(1)
    desk.queue.begin(a)
    desk.queue.placed(a, desk.columns.place(a.pod, a.shape, "n"))
    desk.queue.changed(desk.columns.remove(a.pod.uid))
    desk.queue.reject(a, frozenset({"SomePermit"}))
    assert desk.work() == []
    assert desk.queue.place_of("uid-a") is Place.UNSCHEDULABLE
    desk.have(node("m"))
    assert desk.work() == [], "who says nothing of what may cure it is asked again at anything, but after a back-off"
    asyncio.run(desk.clock.advance(1))
    assert desk.work() == ["a"]


def test_a_pod_that_must_not_be_alone_is_woken_by_its_peers() -> None:
    rule = {
        "topologyKey": HOSTNAME,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    desk = Desk(node("a", labels={HOSTNAME: "a"}), node("b", labels={HOSTNAME: "b"}, taints=["k=v:NoSchedule"]))
    desk.put(*(pod(f"p{number}", labels={"app": "web"}, topologySpreadConstraints=[rule]) for number in range(4)))
    desk.work()
    assert len(desk.placed()) == 1
    desk.put(pod("other", labels={"app": "web"}, nodeSelector={HOSTNAME: "b"}, tolerations=[{"operator": "Exists"}]))
    desk.work()
    assert len(desk.placed()) == 3


def apart(name: str, **more: Any) -> Pod:
    """A pod that wants no other of its kind on its node."""
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "web"}}}
    rule = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return pod(name, labels={"app": "web"}, affinity=rule, **more)


def test_pods_that_shun_each_other_wait_together() -> None:
    desk = Desk(node("a", labels={HOSTNAME: "a"}), node("b", labels={HOSTNAME: "b"}))
    desk.put(*(apart(f"p{number}") for number in range(50)))
    assert len(desk.work()) == 50
    assert len(desk.placed()) == 2
    desk.put(pod("another"))
    assert desk.work() == ["another"]
    desk.leave("p0")
    assert len(desk.work()) <= 3, "one has room, and two look whether there is more"
    assert len(desk.placed()) == 3


def test_a_label_that_others_shun_no_more_is_tried_again() -> None:
    desk = Desk(node("a", labels={HOSTNAME: "a"}))
    desk.put(apart("p0"), apart("p1"))
    desk.work()
    desk.put(pod("p1", labels={"app": "other"}))
    assert desk.work() == ["p1"]


def promised(*, wish: Mapping[str, Any], labels: dict[str, str]) -> Desk:
    """Two full nodes and four equal pods without a place: one is promised the first node, three the other."""
    nodes = (node(name, labels={"zone": name}, allocatable={"cpu": "4"}) for name in ("a", "b"))
    desk = Desk(*nodes)
    for name in ("a", "b"):
        desk.put(pod(f"on-{name}", requests={"cpu": "4"}, nodeName=name, labels=labels))
    desk.work()
    desk.put(*(pod(f"p{number}", requests={"cpu": "1"}, labels={"app": "web"}, **wish) for number in range(4)))
    for number in range(4):
        desk.promise(f"p{number}", "b" if number else "a")
    assert len(desk.work()) == 4
    return desk


@pytest.mark.parametrize("refused", [(), ("p0",), ("p1",), ("p0", "p1"), ("p0", "p1", "p2")])
def test_room_for_many_who_are_promised_nodes_is_given_to_all_also_if_some_cannot_keep_it(
    refused: Sequence[str],
) -> None:
    desk = promised(wish={}, labels={})
    desk.refused.update(refused)
    desk.leave("on-a")
    desk.work()
    placed = {name for name in desk.placed() if name.startswith("p")}
    assert placed == {"p0", "p1", "p2", "p3"} - set(refused)


def test_what_helps_all_who_are_promised_nodes_wakes_more_than_one() -> None:
    desk = promised(wish={"topologySpreadConstraints": [SKEW]}, labels={"app": "web"})
    desk.leave("on-a")
    desk.leave("on-b")
    desk.work()
    assert {name for name in desk.placed() if name.startswith("p")} == {"p0", "p1", "p2", "p3"}


def test_events_cost_the_same_for_ten_thousand_pods_of_a_shape() -> None:
    desk = Desk(node("n"), node("m", labels={"disk": "ssd"}))
    spec = {"nodeSelector": {"disk": "hdd"}}
    for number in range(10_000):
        desk.put(pod(f"p{number}", **spec))
    assert len(desk.work()) == 10_000
    asked = count_filters(desk.profile)
    for number in range(100):
        desk.have(node("churn", allocatable={"cpu": str(number + 1)}))
        desk.work()
    assert desk.queue.counts()[Place.UNSCHEDULABLE] == 10_000
    assert asked["NodeAffinity"] <= 200


def test_events_cost_the_same_for_thousands_who_are_promised_nodes() -> None:
    desk = Desk(*(node(f"n{number}", allocatable={"cpu": "4"}) for number in range(1000)))
    for number in range(1000):
        desk.put(pod(f"on-{number}", requests={"cpu": "4"}))
    desk.work()
    for number in range(1000):
        desk.put(pod(f"p{number}", requests={"cpu": "4"}, priority=1))
        desk.promise(f"p{number}", f"n{number}")
    assert len(desk.work()) == 1000
    asked = count_filters(desk.profile)
    for number in range(100):
        desk.leave(f"on-{number}")
        assert len(desk.work()) == 1
    assert len(desk.placed()) == 1000
    assert asked["NodeResourcesFit"] <= 1000


def count_filters(profile: Profile) -> dict[str, int]:
    """How often each filter of a profile is asked from now on."""
    asked: dict[str, int] = {}

    def counted(plugin: Any) -> Any:
        ask = plugin.filter

        def filter(*args: Any) -> Any:
            asked[plugin.name] = asked.get(plugin.name, 0) + 1
            return ask(*args)

        return filter

    for plugin in profile.filter:
        plugin.filter = counted(plugin)  # type: ignore[method-assign]
    return asked


names = st.sampled_from(["a", "b", "c"])
amounts = st.sampled_from(["1", "2", "4"])
zones = st.sampled_from(["x", "y"])
taints = st.sampled_from([(), (), ("k=v:NoSchedule",)])


def beside(kind: str, app: str) -> dict[str, Any]:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}}
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


SKEW = {
    "topologyKey": "zone",
    "maxSkew": 1,
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchLabels": {"app": "web"}},
}
WISHES: list[Mapping[str, Any]] = [
    {},
    {"nodeSelector": {"zone": "x"}},
    {"tolerations": [{"operator": "Exists"}]},
    {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 1}]}]},
    {"priority": 5},
    beside("podAntiAffinity", "web"),
    beside("podAffinity", "db"),
    {"topologySpreadConstraints": [SKEW]},
]
wishes = st.one_of(st.just(WISHES[0]), st.sampled_from(WISHES))
indices = st.integers(0, 30)
nodes = st.tuples(st.just("node"), names, amounts, zones, taints, st.sampled_from([False, False, True]))
pods = st.tuples(st.just("pod"), amounts, wishes, st.integers(1, 6), st.sampled_from(["web", "db"]))
others = st.one_of(
    st.tuples(st.just("lose"), names),
    st.tuples(st.just("leave"), indices),
    st.tuples(st.just("look"), indices),
    st.tuples(st.just("promise"), indices, st.integers(1, 5), st.sampled_from(["a", "b", "c", ""])),
    st.tuples(st.just("refuse"), indices),
    st.tuples(st.just("change"), indices, amounts),
    st.tuples(st.just("time"), st.sampled_from([0.5, 20.0])),
)
steps = st.lists(
    st.tuples(st.one_of(nodes, pods, others), st.sampled_from([True, True, False])), min_size=4, max_size=16
)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_nobody_rests_who_would_fit(actions: list[tuple[Any, bool]]) -> None:
    asyncio.run(_nobody_rests_who_would_fit(actions))


async def _nobody_rests_who_would_fit(actions: list[tuple[Any, bool]]) -> None:
    desk = Desk()
    known: list[str] = []
    for action, works in actions:
        match action:
            case "node", name, cpu, zone, tainted, closed:
                labels = {"zone": zone}
                desk.have(node(name, allocatable={"cpu": cpu}, labels=labels, taints=tainted, unschedulable=closed))
            case "lose", name:
                desk.lose(name)
            case "pod", cpu, wish, number, app:
                for _ in range(number):
                    known.append(f"p{len(known)}")
                    desk.put(pod(known[-1], requests={"cpu": cpu}, labels={"app": app}, **wish))
            case "leave", index if known:
                desk.leave(known[index % len(known)])
            case "look", index if known:
                desk.queue.place_of(f"uid-{known[index % len(known)]}")
            case "promise", index, number, name if known:
                for each in known[index % len(known) :][:number]:
                    if f"uid-{each}" in desk.queue:
                        desk.promise(each, name)
            case "refuse", index if known:
                desk.refused.add(known[index % len(known)])
            case "change", index, cpu if known:
                uid = f"uid-{known[index % len(known)]}"
                if uid in desk.queue:
                    desk.put(pod(desk.pods[uid].name, requests={"cpu": cpu}, labels={"app": "web"}))
            case "time", seconds:
                await desk.clock.advance(seconds)
        if works:
            desk.work()
    desk.work()
    for uid, each in desk.pods.items():
        if uid in desk.queue and each.name not in desk.refused:
            assert desk.queue.place_of(uid) is Place.UNSCHEDULABLE
            decision = desk.cycle.decide(each, shape_of(each), desk.columns)
            assert not isinstance(decision, Placement), f"{each.name} fits on {decision}"
