"""What answers of the metrics APIs become, in upstream's words; which pods are whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.horizontalpodautoscaler import readings, words
from k8slite.controllers.horizontalpodautoscaler.asking import selector_text
from k8slite.controllers.horizontalpodautoscaler.judging import Answer, Failure, Unreachable, Verdict, judge
from k8slite.controllers.horizontalpodautoscaler.pods import Unknown
from k8slite.controllers.horizontalpodautoscaler.proposals import Rules, Workload
from k8slite.controllers.horizontalpodautoscaler.selections import Selections
from k8slite.controllers.pods import Pod
from k8slite.kinds.autoscaling import MetricSpec
from k8slite.selectors import parse_label_selector

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STAMP = "2026-01-01T12:00:00Z"
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


def pod(name: str, labels: dict[str, str] | None = None) -> Pod:
    status = {
        "phase": "Running",
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    containers = [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]
    metadata = {"name": name, "namespace": "default", "labels": labels or {"app": "web"}}
    return Pod.model_validate({"metadata": metadata, "spec": {"containers": containers}, "status": status})


WORKLOAD = Workload([pod("a"), pod("b")], 2, 2)


def pod_metrics(name: str, cpu: str, container: str = "c") -> dict[str, Any]:
    usage = {"name": container, "usage": {"cpu": cpu}}
    return {"metadata": {"name": name}, "timestamp": STAMP, "window": "10s", "containers": [usage]}


def ruled(metric: dict[str, Any], answer: Answer) -> Verdict | Failure:
    spec = MetricSpec.model_validate(metric)
    return judge(spec, answer, workload=WORKLOAD, rules=Rules(), namespace="default", now=NOW)


def source(type_: str, member: str, target: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"type": type_, member: {"target": target, **rest}}


CONTAINER = {"name": "cpu", "container": "c"}
NAMED = {"metric": {"name": "hits", "selector": {"matchLabels": {"b": "2", "a": "1"}}}}
FRONT = {**NAMED, "describedObject": {"kind": "Service", "name": "front", "apiVersion": "v1"}}
SHARE, VALUE = {"type": "AverageValue", "averageValue": "10"}, {"type": "Value", "value": "10"}
HITS = "(&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{},})"
USED = [pod_metrics("a", "150m"), pod_metrics("b", "50m")]
ONE = [{"value": "40", "timestamp": STAMP}]
EACH = [{"describedObject": {"name": name}, "value": "15", "timestamp": STAMP} for name in ("a", "b")]


@pytest.mark.parametrize(
    ("metric", "answer", "replicas", "name", "current"),
    [
        (CPU, USED, 4, "cpu resource utilization (percentage of request)", ("100m", 100)),
        (source("Resource", "resource", {"averageValue": "50m"}, name="cpu"), USED, 4, "cpu resource", ("100m", None)),
        (
            source("ContainerResource", "containerResource", {"averageUtilization": 100}, **CONTAINER),
            USED,
            2,
            "cpu container resource utilization (percentage of request)",
            ("100m", 100),
        ),
        (
            source("ContainerResource", "containerResource", {"averageValue": "50m"}, **CONTAINER),
            USED,
            4,
            "cpu resource",
            ("100m", None),
        ),
        (source("Pods", "pods", SHARE, **NAMED), EACH, 3, "pods metric hits", ("15", None)),
        (source("Object", "object", SHARE, **FRONT), ONE, 4, f"external metric hits{HITS}", ("20", None)),
        (source("External", "external", SHARE, **NAMED), ONE, 4, f"external metric hits{HITS}", ("20", None)),
    ],
)
def test_verdicts(metric: dict[str, Any], answer: Answer, replicas: int, name: str, current: Any) -> None:
    found = ruled(metric, answer)
    assert isinstance(found, Verdict), found
    assert (found.replicas, found.name, found.status["type"]) == (replicas, name, metric["type"])
    member = next(key for key in metric if key != "type")
    shown = found.status[member]["current"]
    assert (shown["averageValue"], shown.get("averageUtilization")) == current


def test_verdicts_on_a_value() -> None:
    found = ruled(source("Object", "object", VALUE, **FRONT), ONE)
    assert isinstance(found, Verdict)
    assert (found.replicas, found.name) == (8, "Service metric hits")
    assert found.status["object"] == {
        "describedObject": FRONT["describedObject"],
        "metric": NAMED["metric"],
        "current": {"value": "40"},
    }
    found = ruled(source("External", "external", VALUE, metric={"name": "queue"}), ONE * 2)
    assert isinstance(found, Verdict)
    assert (found.replicas, found.name, found.status["external"]["current"]) == (
        16,
        "external metric queue(nil)",
        {"value": "80"},
    )


AWAY = Unreachable("the server could not find the requested resource (get pods.metrics.k8s.io)")


@pytest.mark.parametrize(
    ("metric", "answer", "reason", "message", "summary"),
    [
        (
            CPU,
            AWAY,
            "FailedGetResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from"
            f" resource metrics API: {AWAY.why}",
            "failed to get cpu resource metric value: {}",
        ),
        (
            source("Resource", "resource", {"averageValue": "1"}, name="memory"),
            [],
            "FailedGetResourceMetric",
            "failed to get memory usage: unable to get metrics for resource memory: no metrics returned from resource"
            " metrics API",
            "failed to get memory resource metric value: {}",
        ),
        (
            source("ContainerResource", "containerResource", {"averageUtilization": 1}, name="cpu", container="x"),
            USED,
            "FailedGetContainerResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu: failed to get container metrics:"
            " container x not present in metrics for pod /a",
            "failed to get x container metric value: {}",
        ),
        (
            source("Pods", "pods", SHARE, **NAMED),
            Unreachable("gone"),
            "FailedGetPodsMetric",
            "unable to get metric hits: unable to fetch metrics from custom metrics API: gone",
            "failed to get pods metric value: {}",
        ),
        (
            source("Object", "object", VALUE, **FRONT),
            Unreachable("gone"),
            "FailedGetObjectMetric",
            "unable to get metric hits: unable to fetch metrics from custom metrics API: gone on Service default/front",
            "failed to get object metric value: {}",
        ),
        (
            source("Object", "object", SHARE, **FRONT),
            Unreachable("gone"),
            "FailedGetObjectMetric",
            "unable to get metric hits: unable to fetch metrics from custom metrics API: gone on Service default/front",
            "failed to get object metric value: failed to get hits object metric: {}",
        ),
        (
            source("External", "external", SHARE, metric={"name": "queue"}),
            [],
            "FailedGetExternalMetric",
            "unable to get external metric default/queue/nil: no metrics returned from external metrics API",
            "failed to get queue external metric value: failed to get queue external metric: {}",
        ),
        (
            source("External", "external", {}, metric={"name": "queue"}),
            ONE,
            "FailedGetExternalMetric",
            "invalid external metric source: neither a value target nor an average value target was set",
            "failed to get queue external metric value: {}",
        ),
        (
            {"type": "CheddarCheese"},
            [],
            "InvalidMetricSourceType",
            'unknown metric source type "CheddarCheese"',
            "{}",
        ),
    ],
)
def test_failures_are_told_in_upstreams_words(
    metric: dict[str, Any], answer: Answer, reason: str, message: str, summary: str
) -> None:
    assert ruled(metric, answer) == Failure(reason, message, summary.format(message))


ANY = {
    "Resource": CPU,
    "ContainerResource": source("ContainerResource", "containerResource", CPU["resource"]["target"], **CONTAINER),
    "Pods": source("Pods", "pods", SHARE, **NAMED),
    "Object": source("Object", "object", VALUE, **FRONT),
    "External": source("External", "external", VALUE, **NAMED),
}
FIELDS = st.sampled_from(
    [
        "metadata",
        "name",
        "containers",
        "usage",
        "cpu",
        "timestamp",
        "window",
        "windowSeconds",
        "value",
        "describedObject",
    ]
)


def test_readings() -> None:
    two = [{"name": "x", "usage": {"cpu": "1"}}, {"name": "y", "usage": {"cpu": "250m", "memory": "1Ki"}}]
    item = {"metadata": {"name": "a"}, "timestamp": STAMP, "window": "1m0.5s", "containers": two}
    found = readings.pod_samples([item], resource="cpu")["a"]
    assert (found.value, found.at, found.window) == (1250, NOW, timedelta(seconds=60.5))
    assert readings.pod_samples([item], resource="memory") == {}  # one container says nothing of it
    assert readings.pod_samples([item], resource="memory", container="y")["a"].value == 1024_000
    old = {"describedObject": {"name": "a"}, "value": "500m", "timestamp": STAMP, "window": 30}
    assert readings.custom_samples([old])["a"].window == timedelta(seconds=30)
    with pytest.raises(Unknown, match="returned 2 results when we asked for exactly one"):
        readings.object_value([{}, {}])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | st.just(STAMP),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=20,
)


@pytest.mark.parametrize("kind", ["Resource", "ContainerResource", "Pods", "Object", "External"])
@given(answer=st.lists(JSON, min_size=1, max_size=2))
def test_whatever_a_server_answers_other_metrics_still_count(kind: str, answer: list[Any]) -> None:
    assert isinstance(ruled(ANY[kind], answer), Verdict | Failure)


@pytest.mark.parametrize("stamp", ["soon", "2026-01-01T12:00:00", 5, None])
def test_a_time_that_is_none_is_no_measurement(stamp: object) -> None:
    found = ruled(CPU, [{**USED[0], "timestamp": stamp}])
    assert isinstance(found, Failure) and "the answer cannot be understood" in found.message


def test_words() -> None:
    assert [words.amount(number) for number in (1500, 2000, 0, 12_000_000)] == ["1500m", "2", "0", "12k"]
    expressions = [{"key": "a", "operator": "In", "values": ["x", "y"]}, {"key": "b", "operator": "Exists"}]
    assert words.selector({"matchExpressions": expressions}) == (
        "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{"
        "LabelSelectorRequirement{Key:a,Operator:In,Values:[x y],},"
        "LabelSelectorRequirement{Key:b,Operator:Exists,Values:[],},},}"
    )
    assert selector_text({"matchLabels": {"z": "1"}, "matchExpressions": expressions}) == "a in (x,y),b,z=1"


CHANGES = st.lists(
    st.tuples(st.sampled_from("pqr"), st.sampled_from([None, {"app": "a"}, {"app": "b"}, {"app": "a", "tier": "x"}])),
    max_size=20,
)


@given(before=CHANGES, after=CHANGES)
def test_selections_are_what_selectors_select(before: Any, after: Any) -> None:
    pods: dict[str, Pod] = {}
    selections = Selections()

    def change(name: str, labels: dict[str, str] | None) -> None:
        old, new = pods.pop(name, None), pod(name, labels) if labels else None
        if new is not None:
            pods[name] = new
        if old is not None or new is not None:
            selections.pod_changed(old, new)

    for name, labels in before:
        change(name, labels)
    selectors = {"default/one": "app=a", "default/two": "tier", "default/three": "app"}
    for key, text in selectors.items():
        selections.register(key, parse_label_selector(text), list(pods.values()))
        assert selections.knows(key, parse_label_selector(text))
    for name, labels in after:
        change(name, labels)
    selections.forget("default/three")
    del selectors["default/three"]
    selected = {
        key: {one.key for one in pods.values() if parse_label_selector(text).matches(one.metadata.labels)}
        for key, text in selectors.items()
    }
    for key, expected in selected.items():
        assert set(selections.pods(key)) == expected
        rivals = {other for other, keys in selected.items() if keys & expected}
        assert set(selections.holders(selections.pods(key))) == rivals
    assert selections.held("default") == sum(len(keys) for keys in selected.values())
