"""On which nodes a DaemonSet runs: against a plain reading of the documentation, and as nodes change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.daemonset.nodes import Nodes
from k8slite.controllers.daemonset.placement import Fit, fit, pinned, rules_of, tolerations_of
from k8slite.controllers.daemonset.template import pods_of
from k8slite.controllers.pods import Pod
from k8slite.kinds.core import Node
from k8slite.kinds.template import RawTemplate

from .builders import daemonset

ADDED = {
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
}


def node(name: str = "n1", *, labels: dict[str, str] | None = None, taints: list[dict[str, str]] | None = None) -> Node:
    return Node.model_validate(
        {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": taints or [], "unschedulable": True}}
    )


def taint(key: str, effect: str = "NoSchedule", value: str = "") -> dict[str, str]:
    return {"key": key, "effect": effect, "value": value}


def verdict(spec: dict[str, Any], on: Node) -> Fit:
    return fit(rules_of(RawTemplate({"spec": spec})), on)


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": rule}}


SSD = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
NAMED = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}


@pytest.mark.parametrize(
    ("spec", "on", "wanted"),
    [
        ({}, node(), Fit.RUN),
        ({"nodeName": "n1"}, node(), Fit.RUN),
        ({"nodeName": "n2"}, node(), Fit.NO),
        ({"nodeSelector": {"disk": "ssd"}}, node(), Fit.NO),
        ({"nodeSelector": {"disk": "ssd"}}, node(labels={"disk": "ssd"}), Fit.RUN),
        (required(SSD), node(), Fit.NO),
        (required(SSD), node(labels={"disk": "ssd"}), Fit.RUN),
        (required(NAMED), node(), Fit.RUN),
        (required(NAMED), node("n2"), Fit.NO),
        (required(SSD, NAMED), node(), Fit.RUN),
        (required(SSD | NAMED), node(), Fit.NO),
        (required({}), node(), Fit.NO),
        ({}, node(taints=[taint("gpu")]), Fit.STAY),
        ({}, node(taints=[taint("gpu", "PreferNoSchedule")]), Fit.RUN),
        ({}, node(taints=[taint("gpu", "NoExecute")]), Fit.NO),
        ({}, node(taints=[taint("gpu"), taint("old", "NoExecute")]), Fit.NO),
        ({"tolerations": [{"operator": "Exists"}]}, node(taints=[taint("gpu", "NoExecute")]), Fit.RUN),
        ({"tolerations": [{"key": "gpu", "value": "a"}]}, node(taints=[taint("gpu", value="a")]), Fit.RUN),
        ({"tolerations": [{"key": "gpu", "value": "a"}]}, node(taints=[taint("gpu", value="b")]), Fit.STAY),
        ({}, node(taints=[taint("node.kubernetes.io/network-unavailable")]), Fit.STAY),
        ({"hostNetwork": True}, node(taints=[taint("node.kubernetes.io/network-unavailable")]), Fit.RUN),
        ({}, node(taints=[taint("node.kubernetes.io/not-ready", "NoExecute")]), Fit.RUN),
        ({}, node(taints=[taint("node.kubernetes.io/not-ready")]), Fit.STAY),
    ],
)
def test_where_pods_run(spec: dict[str, Any], on: Node, wanted: Fit) -> None:
    assert verdict(spec, on) is wanted


def test_daemons_put_up_with_trouble() -> None:
    assert {(one["key"], one["effect"]) for one in tolerations_of({})} == ADDED
    assert all(one["operator"] == "Exists" and "tolerationSeconds" not in one for one in tolerations_of({}))
    network = ("node.kubernetes.io/network-unavailable", "NoSchedule")
    assert {(one["key"], one["effect"]) for one in tolerations_of({"hostNetwork": True})} == ADDED | {network}


def test_tolerations_of_the_same_meaning_are_replaced_where_they_stand() -> None:
    unready = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
    own = [{"key": "gpu", "operator": "Exists"}, unready | {"tolerationSeconds": 30}]
    made = tolerations_of({"tolerations": own})
    assert made[:2] == [own[0], unready]
    assert len(made) == 7
    assert own[1]["tolerationSeconds"] == 30, "the template is nobody's to change"


def test_a_pod_is_pinned_to_its_node() -> None:
    liked = [{"weight": 1, "preference": SSD}]
    spec = required(SSD)
    spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = liked
    spec["affinity"]["podAntiAffinity"] = {"x": 1}
    changed = pinned(spec["affinity"], node="n1")
    rules = changed["nodeAffinity"]
    assert rules["requiredDuringSchedulingIgnoredDuringExecution"] == {"nodeSelectorTerms": [NAMED]}
    assert rules["preferredDuringSchedulingIgnoredDuringExecution"] == liked
    assert changed["podAntiAffinity"] == {"x": 1}
    assert spec["affinity"] == required(SSD)["affinity"] | {
        "nodeAffinity": required(SSD)["affinity"]["nodeAffinity"]
        | {"preferredDuringSchedulingIgnoredDuringExecution": liked},
        "podAntiAffinity": {"x": 1},
    }


def test_the_pod_of_a_node() -> None:
    made = pods_of(daemonset(), hash_="abc")("n1", "agent-1")
    assert made["metadata"]["labels"] == {"app": "web", "controller-revision-hash": "abc"}
    assert made["metadata"]["generateName"] == "agent-"
    assert made["metadata"]["ownerReferences"][0]["controller"] is True
    assert Pod.model_validate(made).spec.affinity == "n1"
    assert "nodeName" not in made["spec"], "the scheduler binds it"
    assert made["spec"]["containers"][0]["unknownToUs"] == {"x": 1}


def test_the_number_of_a_template_is_handed_on() -> None:
    found = daemonset()
    annotations = {"deprecated.daemonset.template.generation": "3"}
    numbered = found.model_copy(update={"metadata": found.metadata.model_copy(update={"annotations": annotations})})
    assert pods_of(numbered, hash_="abc")("n1", "x")["metadata"]["labels"]["pod-template-generation"] == "3"


@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        ([NAMED], "n1"),
        ([SSD], ""),
        ([], ""),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1", "n2"]}]}], ""),
        ([{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}]}], ""),
    ],
)
def test_the_node_that_a_pod_is_meant_for(terms: list[dict[str, Any]], wanted: str) -> None:
    assert Pod.model_validate({"spec": required(*terms)}).spec.affinity == wanted


keys, values = st.sampled_from("ab"), st.sampled_from("12")
labels = st.dictionaries(keys, values)
requirement = st.one_of(
    st.tuples(keys, st.sampled_from(["In", "NotIn"]), st.lists(values, min_size=1, max_size=2)),
    st.tuples(keys, st.sampled_from(["Exists", "DoesNotExist"]), st.just([])),
    st.tuples(keys, st.sampled_from(["Gt", "Lt"]), st.lists(values, min_size=1, max_size=1)),
)
field = st.tuples(
    st.just("metadata.name"), st.sampled_from(["In", "NotIn"]), st.lists(st.sampled_from(["n1", "n2"]), min_size=1)
)
term = st.tuples(st.lists(requirement, max_size=2), st.lists(field, max_size=1))
effects = st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])
tainted = st.lists(st.builds(taint, keys, effects, values), max_size=2)
toleration = st.fixed_dictionaries(
    {},
    optional={
        "key": keys,
        "operator": st.sampled_from(["Exists", "Equal"]),
        "value": values,
        "effect": effects,
    },
)
nodes = st.builds(node, st.sampled_from(["n1", "n2"]), labels=labels, taints=tainted)
specs = st.fixed_dictionaries(
    {"tolerations": st.lists(toleration, max_size=2)},
    optional={"nodeSelector": labels, "terms": st.lists(term, max_size=2), "nodeName": st.sampled_from(["", "n1"])},
)


def holds(rule: tuple[str, str, list[str]], known: dict[str, str]) -> bool:
    key, operator, wanted = rule
    if operator in ("DoesNotExist", "NotIn"):
        return key not in known or (operator == "NotIn" and known[key] not in wanted)
    if operator in ("Gt", "Lt"):
        return key in known and (int(known[key]) > int(wanted[0])) == (operator == "Gt") and known[key] != wanted[0]
    return key in known and (operator == "Exists" or known[key] in wanted)


def tolerated(one: dict[str, str], by: dict[str, str]) -> bool:
    return (
        by.get("effect", one["effect"]) == one["effect"]
        and by.get("key", one["key"]) == one["key"]
        and (by.get("operator") == "Exists" or by.get("value", "") == one["value"])
    )


def reference(spec: dict[str, Any], on: Node) -> Fit:
    """As the documentation says it, one sentence after the other."""
    if spec.get("nodeName") not in (None, "", on.name):
        return Fit.NO
    if any(on.metadata.labels.get(key) != value for key, value in spec.get("nodeSelector", {}).items()):
        return Fit.NO
    if "terms" in spec:
        met = [
            (by_label or by_field)
            and all(holds(rule, dict(on.metadata.labels)) for rule in by_label)
            and all(holds(rule, {"metadata.name": on.name}) for rule in by_field)
            for by_label, by_field in spec["terms"]
        ]
        if not any(met):
            return Fit.NO
    bad = {
        one.effect
        for one in on.spec.taints
        if one.effect != "PreferNoSchedule" and not any(tolerated(one.model_dump(), by) for by in spec["tolerations"])
    }
    return Fit.NO if "NoExecute" in bad else Fit.STAY if bad else Fit.RUN


def written(spec: dict[str, Any]) -> RawTemplate:
    plain = {key: value for key, value in spec.items() if key != "terms"}
    if "terms" in spec:
        named = ("key", "operator", "values")
        terms = [
            {
                "matchExpressions": [dict(zip(named, rule, strict=True)) for rule in by_label],
                "matchFields": [dict(zip(named, rule, strict=True)) for rule in by_field],
            }
            for by_label, by_field in spec["terms"]
        ]
        plain |= required(*terms)
    return RawTemplate({"spec": plain})


@settings(max_examples=300)
@given(specs, nodes)
def test_a_node_is_judged_as_the_documentation_says(spec: dict[str, Any], on: Node) -> None:
    assert fit(rules_of(written(spec)), on) is reference(spec, on)


@settings(max_examples=150)
@given(st.lists(specs, min_size=1, max_size=3), st.lists(st.tuples(st.booleans(), nodes), max_size=12))
def test_verdicts_are_kept_in_step_and_only_sets_concerned_are_woken(
    wanted: list[dict[str, Any]], changes: list[tuple[bool, Node]]
) -> None:
    there: dict[str, Node] = {}
    known = Nodes(lambda: list(there.values()))
    templates = {f"default/ds{number}": written(spec) for number, spec in enumerate(wanted)}
    for key, template in templates.items():
        known.fits(key, template)
    for removed, one in changes:
        before = {key: dict(known.fits(key, template)) for key, template in templates.items()}
        old = there.get(one.name)
        if removed:
            there.pop(one.name, None)
            woken = set(known.change(old, None))
        else:
            there[one.name] = one
            woken = set(known.change(old, one))
        for key, template in templates.items():
            now = known.fits(key, template)
            assert now == {name: fit(rules_of(template), each) for name, each in there.items()}
            cared, cares = before[key].get(one.name, Fit.NO), now.get(one.name, Fit.NO)
            assert (key in woken) == (cared is not cares)


def test_heartbeats_are_not_looked_at() -> None:
    there = {"n1": node(labels={"a": "1"})}
    known = Nodes(there.values)
    template = RawTemplate({"spec": {}})
    known.fits("default/ds", template)
    beat = there["n1"].model_copy(
        update={"metadata": there["n1"].metadata.model_copy(update={"resource_version": "9"})}
    )
    assert not known.change(there["n1"], beat)
    known.forget("default/ds")
    assert not known.change(beat, None)
