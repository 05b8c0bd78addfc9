"""Affinity between pods: what is decided, what a pod is told, and what wakes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from k8slite.scheduler.affinity import PodRules
from k8slite.scheduler.arguments import BadArguments
from k8slite.scheduler.change import Change, Event
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Placement, Unschedulable
from k8slite.scheduler.namespaces import Namespaces
from k8slite.scheduler.plugins.inter_pod_affinity import (
    ALONE,
    CROWDED,
    UNWELCOME,
    InterPodAffinity,
    inter_pod_affinity,
)
from k8slite.scheduler.row_counts import RowCounts
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Namespace, Node, Pod

from .builders import columns, decide, handle, node, pod

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def term(app: str = "web", key: str = ZONE, **more: Any) -> dict[str, Any]:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}} | more


def beside(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAffinity": {REQUIRED: list(terms)}}}


def away(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {REQUIRED: list(terms)}}}


def prefers(kind: str, *terms: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"affinity": {kind: {PREFERRED: [{"weight": w, "podAffinityTerm": found} for w, found in terms]}}}


def app(name: str, **more: Any) -> Pod:
    return pod(labels={"app": name}, **more)


def put(state: Columns, placed: Pod, on: str) -> Event:
    return state.place(placed, shape_of(placed), on)


def zoned() -> Columns:
    """Two nodes in zone a, one in b, one in none."""
    hosts = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("bare", "")]
    return columns(*(node(name, labels={HOST: name} | ({ZONE: zone} if zone else {})) for name, zone in hosts))


def fitting(asking: Pod, state: Columns, namespaces: Namespaces | None = None) -> set[str]:
    """Where a pod could go."""
    plugin = InterPodAffinity(state, namespaces or Namespaces())
    rows = np.flatnonzero(state.live)
    mask = plugin.filter_pod(asking, shape_of(asking), state, rows)
    assert mask.all() or plugin.concerns_pod(asking)
    return {state.names[row] for row in rows[mask]}


EVERYWHERE = {"a1", "a2", "b1", "bare"}


@pytest.mark.parametrize(
    ("asking", "expected"),
    [
        pytest.param(pod(), EVERYWHERE, id="nothing is asked for"),
        pytest.param(pod(**beside(term())), {"a1", "a2"}, id="in the zone of a web pod"),
        pytest.param(pod(**beside(term(key=HOST))), {"a1"}, id="on the node of a web pod"),
        pytest.param(pod(**beside(term(), term("db"))), set(), id="one pod must meet all terms"),
        pytest.param(app("db", **beside(term("none"))), set(), id="nobody is there, and the pod itself is another"),
        pytest.param(app("none", **beside(term("none"))), {"a1", "a2", "b1"}, id="the first of its kind"),
        pytest.param(app("web", **beside(term())), {"a1", "a2"}, id="not the first of its kind"),
        pytest.param(pod(**away(term())), {"b1", "bare"}, id="away from the zone of a web pod"),
        pytest.param(pod(**away(term(), term("db", HOST))), {"bare"}, id="away from two"),
        pytest.param(app("quiet"), {"b1", "a1", "bare"}, id="unwelcome on a node"),
        pytest.param(app("quiet", namespace="other"), EVERYWHERE, id="terms are about their pod's namespace"),
        pytest.param(pod(namespace="other", **beside(term())), set(), id="of another namespace, nobody is there"),
        pytest.param(pod(namespace="other", **beside(term(namespaces=["default"]))), {"a1", "a2"}, id="by name"),
        pytest.param(pod(namespace="other", **beside(term(namespaceSelector={}))), {"a1", "a2"}, id="of any namespace"),
        pytest.param(pod(**beside({"topologyKey": ZONE})), set(), id="no selector selects nobody"),
        pytest.param(pod(**away({"topologyKey": ZONE})), EVERYWHERE, id="and keeps away from nobody"),
        pytest.param(pod(**away({"topologyKey": HOST, "labelSelector": {}})), {"bare"}, id="everybody"),
    ],
)
def test_required_terms(asking: Pod, expected: set[str]) -> None:
    state = zoned()
    put(state, app("web"), "a1")
    put(state, app("db"), "b1")
    put(state, pod(**away(term("quiet", HOST))), "a2")
    assert fitting(asking, state) == expected


def test_selectors_of_namespaces_follow_their_labels() -> None:
    state, namespaces = zoned(), Namespaces()
    put(state, app("web", namespace="prod"), "a1")
    put(state, app("web", namespace="test"), "b1")
    asking = pod(**beside(term(namespaceSelector={"matchLabels": {"stage": "live"}})))
    assert fitting(asking, state, namespaces) == set()
    assert namespaces.on_namespace(None, space("prod", stage="live"))
    assert not namespaces.on_namespace(None, space("prod", stage="live")), "nothing new"
    assert fitting(asking, state, namespaces) == {"a1", "a2"}
    namespaces.on_namespace(None, space("test", stage="live"))
    assert fitting(asking, state, namespaces) == {"a1", "a2", "b1"}
    namespaces.on_namespace(space("prod"), None)
    assert fitting(asking, state, namespaces) == {"b1"}


def test_terms_of_placed_pods_select_namespaces_too() -> None:
    state, namespaces = zoned(), Namespaces()
    put(state, pod(**away(term(namespaceSelector={"matchLabels": {"stage": "live"}}))), "a1")
    assert fitting(app("web", namespace="prod"), state, namespaces) == EVERYWHERE
    namespaces.on_namespace(None, space("prod", stage="live"))
    assert fitting(app("web", namespace="prod"), state, namespaces) == {"b1", "bare"}
    assert fitting(app("web"), state, namespaces) == EVERYWHERE


def space(name: str, **labels: str) -> Namespace:
    return Namespace.model_validate({"metadata": {"name": name, "labels": labels}})


def test_pods_are_told_which_of_the_three_reasons_it_was() -> None:
    state = zoned()
    put(state, app("web"), "a1")
    put(state, app("db"), "a2")
    put(state, pod(**away(term("mixed", HOST))), "a1")
    put(state, app("web"), "b1")
    rules = {"podAffinity": {REQUIRED: [term()]}, "podAntiAffinity": {REQUIRED: [term("db", HOST)]}}
    state.set_node(node("b1", labels={HOST: "b1", ZONE: "b"}, unschedulable=True))
    assert decide(app("mixed", affinity=rules), state) == Unschedulable(
        f"0/4 nodes are available: 1 {ALONE}, 1 {CROWDED}, 1 {UNWELCOME}, 1 node(s) were unschedulable.",
        frozenset({"InterPodAffinity", "NodeUnschedulable"}),
    )


def test_pods_on_their_way_out_still_count() -> None:
    state = zoned()
    put(state, app("web", deleting=True), "a1")
    assert fitting(pod(**away(term())), state) == {"b1", "bare"}
    assert fitting(pod(**beside(term())), state) == {"a1", "a2"}


def test_pods_that_need_each_other_s_absence_take_a_node_each() -> None:
    state = zoned()
    for _ in range(4):
        each = app("web", **away(term(key=HOST)))
        decision = decide(each, state)
        assert isinstance(decision, Placement)
        put(state, each, decision.node)
    assert isinstance(decide(app("web", **away(term(key=HOST))), state), Unschedulable)
    assert all(len(state.pods_on(row)) == 1 for row in np.flatnonzero(state.live))


def scored(asking: Pod, state: Columns, **options: Any) -> dict[str, float]:
    plugin = InterPodAffinity(state, Namespaces(), **options)
    if not plugin.concerned(asking, shape_of(asking)):
        return {}
    scores = plugin.compare(asking, shape_of(asking), state, state.live)
    return {name: float(scores[row]) for name, row in state.rows.items()}


def test_preferred_company_and_solitude() -> None:
    state = zoned()
    put(state, app("web"), "a1")
    put(state, app("db"), "b1")
    asking = pod(**prefers("podAffinity", (30, term()), (20, term("db", HOST))))
    assert scored(asking, state) == {"a1": 100, "a2": 100, "b1": 66, "bare": 0}
    averse = pod(**prefers("podAntiAffinity", (10, term())))
    assert scored(averse, state) == {"a1": 0, "a2": 0, "b1": 100, "bare": 100}


def test_what_placed_pods_prefer_and_require() -> None:
    state = zoned()
    put(state, pod(**prefers("podAffinity", (10, term()))), "a1")
    put(state, pod(**prefers("podAntiAffinity", (10, term()))), "b1")
    assert scored(app("web"), state) == {"a1": 100, "a2": 100, "b1": 0, "bare": 50}
    assert scored(app("web"), state, only_own_terms=True) == {}
    assert scored(app("other"), state) == {}
    put(state, pod(**beside(term(key=HOST))), "bare")
    assert scored(app("web"), state, hard_weight=90) == {"a1": 20, "a2": 20, "b1": 0, "bare": 100}
    assert scored(app("web"), state, hard_weight=0) == {"a1": 100, "a2": 100, "b1": 0, "bare": 50}


def test_a_pod_prefers_where_its_kind_is_wanted() -> None:
    state = zoned()
    put(state, pod(**prefers("podAffinity", (100, term(key=HOST)))), "b1")
    assert decide(app("web"), state) == Placement("b1")


def test_the_same_text_is_read_once() -> None:
    one, other = pod(**beside(term())), pod(**beside(term()))
    assert one.spec.affinity and other.spec.affinity
    assert one.spec.affinity.pod_affinity is other.spec.affinity.pod_affinity
    assert one.spec.affinity.to_wire() == beside(term())["affinity"]
    for nothing in ([], "x", {REQUIRED: [{}]}, {PREFERRED: [1]}):
        with pytest.raises(ValueError, match="no rules about pods"):
            PodRules.read(nothing)


def test_arguments() -> None:
    assert inter_pod_affinity(handle(), {}).name == "InterPodAffinity"
    assert inter_pod_affinity(handle(), {"hardPodAffinityWeight": 100, "ignorePreferredTermsOfExistingPods": True})
    for wrong in (-1, 101):
        with pytest.raises(BadArguments, match=rf"hardPodAffinityWeight: Invalid value: {wrong}: not in valid range"):
            inter_pod_affinity(handle(), {"hardPodAffinityWeight": wrong})
    with pytest.raises(BadArguments, match="of type int32"):
        inter_pod_affinity(handle(), {"hardPodAffinityWeight": "1"})


def test_counts_of_few_and_of_many_rows() -> None:
    counts, expected, codes = RowCounts(64), np.zeros(64), np.arange(64, dtype=np.int32) % 5

    def add(row: int, sign: int) -> None:
        counts.add(row, sign)
        expected[row] += sign
        assert counts.sums(codes, 6).tolist() == [*(expected[codes == code].sum() for code in range(5)), 0]

    for row in [*range(40), 3, *range(64)]:
        add(row, 1)
    for row in [*range(64), *range(39)]:
        add(row, -1)
    for row in range(20):
        add(row, 1)
    counts.grow(100)
    counts.add(99, 1)
    assert counts.sums(np.append(codes, np.full(36, 5, dtype=np.int32)), 6)[5] == 1


# What wakes a pod

WEB_SEEKER = pod("seeker", **beside(term()))
WEB_AVOIDER = pod("avoider", **away(term(), term("db", HOST)))
FOUNDER = app("web", **beside(term()))
BY_STAGE = pod(**beside(term(namespaceSelector={"matchLabels": {"stage": "live"}})))
HERMIT = pod(**away(term("web", HOST)))


def pods_event(old: Pod | None, new: Pod | None, change: Change = Change.PEERS) -> Event:
    return Event(change, 0, old, new)


def nodes_event(old: Node | None, new: Node | None) -> Event:
    return Event(Change.NODE_LABELS if old and new else Change.NODE_ADDED if new else Change.NODE_REMOVED, 0, old, new)


@pytest.mark.parametrize(
    ("waiting", "event", "helps"),
    [
        pytest.param(WEB_SEEKER, pods_event(None, app("web")), True, id="company came"),
        pytest.param(WEB_SEEKER, pods_event(None, app("db")), False, id="another pod came"),
        pytest.param(WEB_SEEKER, pods_event(app("db"), app("web")), True, id="a pod became company"),
        pytest.param(WEB_SEEKER, pods_event(app("web"), app("web", deleting=True)), False, id="company leaves"),
        pytest.param(WEB_SEEKER, pods_event(app("web"), None, Change.POD_REMOVED), False, id="company went"),
        pytest.param(FOUNDER, pods_event(app("web"), None, Change.POD_REMOVED), True, id="the pod may be first now"),
        pytest.param(FOUNDER, pods_event(app("web"), app("db")), True, id="or now that company is another"),
        pytest.param(WEB_AVOIDER, pods_event(app("db"), None, Change.POD_REMOVED), True, id="one avoided went"),
        pytest.param(WEB_AVOIDER, pods_event(app("x"), None, Change.POD_REMOVED), False, id="another went"),
        pytest.param(WEB_AVOIDER, pods_event(app("web"), app("x")), True, id="one avoided is another now"),
        pytest.param(WEB_AVOIDER, pods_event(None, app("web")), False, id="one avoided came"),
        pytest.param(app("web"), pods_event(HERMIT, None, Change.POD_REMOVED), True, id="one that avoids the pod went"),
        pytest.param(app("db"), pods_event(HERMIT, None, Change.POD_REMOVED), False, id="one that avoids others went"),
        pytest.param(WEB_SEEKER, nodes_event(None, node(labels={ZONE: "a"})), True, id="a node with the label"),
        pytest.param(WEB_SEEKER, nodes_event(None, node(labels={HOST: "a"})), False, id="a node without it"),
        pytest.param(WEB_AVOIDER, nodes_event(None, node()), True, id="any node is away from the others"),
        pytest.param(
            WEB_AVOIDER, nodes_event(node(labels={ZONE: "a"}), node(labels={ZONE: "b"})), True, id="another zone"
        ),
        pytest.param(WEB_AVOIDER, nodes_event(node(labels={ZONE: "a"}), node()), True, id="no zone any more"),
        pytest.param(
            WEB_AVOIDER, nodes_event(node(labels={"x": "a"}), node(labels={"x": "b"})), False, id="another label"
        ),
        pytest.param(WEB_AVOIDER, nodes_event(node(labels={ZONE: "a"}), None), True, id="a node went"),
        pytest.param(BY_STAGE, Event(Change.NAMESPACE, new=space("x", stage="live")), True, id="selected now"),
        pytest.param(BY_STAGE, Event(Change.NAMESPACE, new=space("x", stage="dev")), False, id="not selected"),
        pytest.param(BY_STAGE, Event(Change.NAMESPACE, new=space("default")), True, id="the pod's own"),
        pytest.param(BY_STAGE, Event(Change.PEERS), True, id="who knows"),
    ],
)
def test_hints(waiting: Pod, event: Event, helps: bool) -> None:
    state = zoned()
    put(state, pod(**away(term("web", HOST))), "a1")
    plugin = InterPodAffinity(state, Namespaces())
    assert plugin.cures & event.change
    assert plugin.helps(waiting, shape_of(waiting), event, state) == helps
