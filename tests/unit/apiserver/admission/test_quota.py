"""ResourceQuota's decisions: what fits, what is charged, and the words of the refusals."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.admission.quota.evaluate import Limited, Refused, Request, evaluate
from k8slite.apiserver.admission.quota.plugin import ResourceQuota
from k8slite.config import ConfigError
from k8slite.usage.amounts import Amounts, amounts, wire
from k8slite.usage.measures import measure_of, read_quota
from k8slite.usage.scopes import Requirement

from .rig import NOW, Document, Objects, pod, resources

CLASSES = {"scopeName": "PriorityClass", "operator": "In", "values": ["high", "higher"]}


def quota(hard: Document, used: Document | None = None, *, name: str = "q", **spec: Any) -> Any:
    counted = dict.fromkeys(hard, "0") | (used or {})
    status = {"hard": hard, "used": counted}
    return read_quota({"metadata": {"name": name}, "spec": {"hard": hard, **spec}, "status": status})


def rise(
    new: Document, *quotas: Any, old: Document | None = None, kind: tuple[str, str] = ("", "pods"), **members: Any
) -> dict[str, dict[str, str]]:
    request = Request(measure_of(*kind), new, old, NOW, **members)
    return {name: wire(more) for name, more in evaluate(request, quotas).items()}


PODS = {
    "number": ({"pods": "1", "count/pods": "2"}, pod(), {"pods": "1", "count/pods": "1"}),
    "requests and limits": (
        {"cpu": "4", "requests.memory": "1Gi", "limits.cpu": "8"},
        pod(
            resources({"cpu": "1", "memory": "512Mi"}, {"cpu": "2"}),
            resources({"cpu": "1", "memory": "1Mi"}, {"cpu": "1"}),
        ),
        {"cpu": "2", "requests.memory": "513Mi", "limits.cpu": "3"},
    ),
    "the largest of those that run first": (
        {"requests.cpu": "9"},
        pod(resources({"cpu": "1"}), initContainers=[{"name": "i", **resources({"cpu": "3"})}]),
        {"requests.cpu": "3"},
    ),
    "sidecars run beside all": (
        {"requests.cpu": "9"},
        pod(
            resources({"cpu": "1"}),
            initContainers=[
                {"name": "s", "restartPolicy": "Always", **resources({"cpu": "1"})},
                {"name": "i", **resources({"cpu": "3"})},
            ],
        ),
        {"requests.cpu": "4"},
    ),
    "overhead": (
        {"requests.cpu": "9", "limits.cpu": "9", "limits.memory": "9"},
        pod(
            resources({"cpu": "1"}, {"cpu": "2", "memory": "1"}),
            overhead={"cpu": "250m"},
        ),
        {"requests.cpu": "1250m", "limits.cpu": "2250m", "limits.memory": "1"},
    ),
    "the pod's own": (
        {"requests.cpu": "9", "limits.memory": "9Gi"},
        pod({}, resources={"requests": {"cpu": "3"}, "limits": {"memory": "1Gi"}}),
        {"requests.cpu": "3", "limits.memory": "1Gi"},
    ),
    "storage of the node": (
        {"ephemeral-storage": "9Gi", "limits.ephemeral-storage": "9Gi"},
        pod(resources({"ephemeral-storage": "1Gi"}, {"ephemeral-storage": "2Gi"})),
        {"ephemeral-storage": "1Gi", "limits.ephemeral-storage": "2Gi"},
    ),
    "huge pages": (
        {"hugepages-2Mi": "9Mi", "requests.hugepages-2Mi": "9Mi"},
        pod(resources({"hugepages-2Mi": "4Mi"}, {"hugepages-2Mi": "4Mi"})),
        {"hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi"},
    ),
    "devices by their requests": (
        {"requests.example.com/gpu": "9"},
        pod(resources({"example.com/gpu": "2"}, {"example.com/gpu": "2"})),
        {"requests.example.com/gpu": "2"},
    ),
    "a resize that goes on": (
        {"requests.cpu": "9"},
        {
            **pod(resources({"cpu": "1"})),
            "status": {"containerStatuses": [{"name": "c0", "resources": {"requests": {"cpu": "2"}}}]},
        },
        {"requests.cpu": "2"},
    ),
    "one that has ended": (
        {"pods": "1", "cpu": "1", "count/pods": "1"},
        {**pod(resources({"cpu": "1"})), "status": {"phase": "Succeeded"}},
        {"count/pods": "1"},
    ),
    "one that should be gone": (
        {"pods": "1", "count/pods": "1"},
        pod(metadata={"deletionTimestamp": "2025-12-31T23:59:00Z", "deletionGracePeriodSeconds": 30}),
        {"count/pods": "1"},
    ),
    "nothing of what it counts": ({"services": "1"}, pod(), None),
}


@pytest.mark.parametrize(("hard", "new", "charged"), PODS.values(), ids=PODS)
def test_what_a_pod_is_charged(hard: Document, new: Document, charged: Document | None) -> None:
    assert rise(new, quota(hard)) == ({"q": charged} if charged else {})


def service(type_: str = "ClusterIP", ports: int = 1, **spec: Any) -> Document:
    return {"metadata": {"name": "s"}, "spec": {"type": type_, "ports": [{"port": p} for p in range(ports)], **spec}}


def claim(storage: str, *, status: Document | None = None, **spec: Any) -> Document:
    asked = {"resources": {"requests": {"storage": storage}}, **spec}
    return {"metadata": {"name": "c"}, "spec": asked, "status": status or {}}


def devices(*requests: Document) -> Document:
    return {"metadata": {"name": "d"}, "spec": {"devices": {"requests": list(requests)}}}


GPU = "gpu.deviceclass.resource.k8s.io/devices"
GOLD = "gold.storageclass.storage.k8s.io"
SERVICES, CLAIMS, DEVICES = ("", "services"), ("", "persistentvolumeclaims"), ("resource.k8s.io", "resourceclaims")
OTHERS = {
    "plain service": (SERVICES, service(), {"services": "1", "count/services": "1"}),
    "node ports": (SERVICES, service("NodePort", 2), {"services": "1", "services.nodeports": "2"}),
    "load balancer": (SERVICES, service("LoadBalancer"), {"services.loadbalancers": "1", "services.nodeports": "1"}),
    "load balancer without node ports": (
        SERVICES,
        service("LoadBalancer", allocateLoadBalancerNodePorts=False),
        {"services.loadbalancers": "1"},
    ),
    "claim": (CLAIMS, claim("1Gi"), {"persistentvolumeclaims": "1", "requests.storage": "1Gi"}),
    "claim of a class": (
        CLAIMS,
        claim("1.5Gi", storageClassName="gold"),
        {f"{GOLD}/persistentvolumeclaims": "1", f"{GOLD}/requests.storage": "1536Mi"},
    ),
    "claim that got more": (
        CLAIMS,
        claim("1Gi", status={"allocatedResources": {"storage": "2Gi"}}),
        {"requests.storage": "2Gi"},
    ),
    "devices": (
        DEVICES,
        devices(
            {"exactly": {"deviceClassName": "gpu", "count": 2}},
            {"exactly": {"deviceClassName": "gpu", "allocationMode": "All"}},
        ),
        {GPU: "34", "count/resourceclaims.resource.k8s.io": "1"},
    ),
    "the worst of several choices": (
        DEVICES,
        devices({"firstAvailable": [{"deviceClassName": "gpu", "count": 2}, {"deviceClassName": "gpu", "count": 4}]}),
        {GPU: "4"},
    ),
    "secret": (("", "secrets"), {"metadata": {"name": "s"}}, {"secrets": "1", "count/secrets": "1"}),
    "deployment": (("apps", "deployments"), {"metadata": {"name": "d"}}, {"count/deployments.apps": "1"}),
    "custom": (("example.com", "gadgets"), {"metadata": {"name": "g"}}, {"count/gadgets.example.com": "1"}),
}


@pytest.mark.parametrize(("kind", "new", "charged"), OTHERS.values(), ids=OTHERS)
def test_what_others_are_charged(kind: tuple[str, str], new: Document, charged: Document) -> None:
    hard = dict.fromkeys([*charged, "services.loadbalancers", "pods", "count/other.example.com"], "100Gi")
    assert rise(new, quota(hard), kind=kind) == {"q": charged}


CROSS = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}]}}
PREFERRED = {
    "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {"namespaceSelector": {}}}]
    }
}
LOCAL = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {}}]}}


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ({"scopes": ["Terminating"]}, pod(activeDeadlineSeconds=0), pod()),
        ({"scopes": ["NotTerminating"]}, pod(), pod(activeDeadlineSeconds=1)),
        ({"scopes": ["BestEffort"]}, pod(), pod(resources({"cpu": "1"}))),
        ({"scopes": ["NotBestEffort"]}, pod(resources({}, {"memory": "1"})), pod(resources({"a.b/c": "1"}))),
        ({"scopes": ["BestEffort", "NotTerminating"]}, pod(), pod(activeDeadlineSeconds=1)),
        ({"scopes": ["PriorityClass"]}, pod(priorityClassName="x"), pod()),
        ({"scopes": ["CrossNamespacePodAffinity"]}, pod(affinity=CROSS), pod(affinity=LOCAL)),
        ({"scopes": ["CrossNamespacePodAffinity"]}, pod(affinity=PREFERRED), pod()),
        ({"scopeSelector": {"matchExpressions": [CLASSES]}}, pod(priorityClassName="high"), pod()),
        (
            {"scopeSelector": {"matchExpressions": [{**CLASSES, "operator": "NotIn"}]}},
            pod(),
            pod(priorityClassName="high"),
        ),
        (
            {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}},
            pod(),
            pod(priorityClassName="low"),
        ),
    ],
)
def test_a_quota_counts_pods_in_its_scopes(spec: Document, inside: Document, outside: Document) -> None:
    limited = quota({"pods": "1"}, **spec)
    assert rise(inside, limited) == {"q": {"pods": "1"}}
    assert rise(outside, limited) == {}


def test_a_quota_counts_claims_of_a_class_of_attributes() -> None:
    expression = {"scopeName": "VolumeAttributesClass", "operator": "In", "values": ["fast"]}
    limited = quota({"persistentvolumeclaims": "1"}, scopeSelector={"matchExpressions": [expression]})
    fast = claim("1Gi", volumeAttributesClassName="fast")
    becoming = claim("1Gi", status={"modifyVolumeStatus": {"targetVolumeAttributesClassName": "fast"}})
    for inside in (fast, becoming):
        assert rise(inside, limited, kind=CLAIMS) == {"q": {"persistentvolumeclaims": "1"}}
    assert rise(claim("1Gi"), limited, kind=CLAIMS) == {}


@pytest.mark.parametrize(
    ("new", "quotas", "message"),
    [
        (
            pod(),
            [quota({"pods": "1"}, {"pods": "1"})],
            "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
        ),
        (
            pod(resources({"cpu": "600m", "memory": "2Gi"})),
            [quota({"cpu": "1", "memory": "1Gi", "pods": "5"}, {"cpu": "500m", "memory": "512Mi"})],
            "exceeded quota: q, requested: cpu=600m,memory=2Gi, used: cpu=500m,memory=512Mi, limited: cpu=1,memory=1Gi",
        ),
        (
            pod({"name": "b"}, {"name": "a"}, resources({"cpu": "1"})),
            [quota({"requests.cpu": "1", "limits.cpu": "1"})],
            "failed quota: q: must specify limits.cpu for: a,b,c2; requests.cpu for: a,b",
        ),
        (
            pod(),
            [read_quota({"metadata": {"name": "q"}, "spec": {}, "status": {"hard": {"pods": "1"}}})],
            "status unknown for quota: q, resources: pods",
        ),
        (pod(), [quota({"pods": "9"}), quota({"pods": "0"}, name="z")], "exceeded quota: z, requested: pods=1"),
    ],
)
def test_what_does_not_fit_is_refused(new: Document, quotas: list[Any], message: str) -> None:
    with pytest.raises(Refused) as caught:
        rise(new, *quotas)
    assert str(caught.value).startswith(message)


def test_pods_that_say_it_for_the_whole_need_not_say_it_for_containers() -> None:
    whole = pod({}, resources={"requests": {"cpu": "1"}})
    assert rise(whole, quota({"requests.cpu": "1"})) == {"q": {"requests.cpu": "1"}}


def test_an_update_is_charged_what_it_adds() -> None:
    small, large = pod(resources({"cpu": "1"})), pod(resources({"cpu": "3"}))
    limited = quota({"cpu": "4", "pods": "1"}, {"cpu": "1", "pods": "1"})
    assert rise(large, limited, old=small) == {"q": {"cpu": "2"}}
    assert rise(small, limited, old=large) == {}
    assert rise(small, limited, old=small) == {}


def test_an_update_that_brings_an_object_into_a_scope_is_charged_whole() -> None:
    limited = quota({"pods": "1"}, scopes=["Terminating"])
    assert rise(pod(activeDeadlineSeconds=5), limited, old=pod()) == {"q": {"pods": "1"}}


def test_what_was_charged_already_is_not_charged_again() -> None:
    limited = quota({"cpu": "3"}, {"cpu": "3"})
    small, large = pod(resources({"cpu": "1"})), pod(resources({"cpu": "3"}))
    charged: dict[str, Amounts] = {"q": amounts({"cpu": "2"})}
    assert rise(large, limited, old=small, charged=charged) == {}


def test_a_status_only_notes_what_it_adds() -> None:
    more = claim("1Gi", status={"allocatedResources": {"storage": "9Gi"}})
    limited = quota({"requests.storage": "1Gi"}, {"requests.storage": "1Gi"})
    noted = rise(more, limited, old=claim("1Gi"), kind=CLAIMS, judged=False)
    assert noted == {"q": {"requests.storage": "8Gi"}}


def test_what_is_limited_must_be_covered() -> None:
    limited = (Limited(contains=("requests.cpu",)),)
    with pytest.raises(Refused, match=r"insufficient quota to consume: requests\.cpu"):
        rise(pod(resources({"cpu": "1"})), limited=limited)
    covered = quota({"requests.cpu": "1"})
    assert rise(pod(resources({"cpu": "1"})), covered, limited=limited) == {"q": {"requests.cpu": "1"}}
    assert rise(pod(), limited=limited) == {}
    scopes = (Requirement("PriorityClass", "In", frozenset({"high"})),)
    with pytest.raises(Refused, match=r"insufficient quota to match these scopes: \[\{PriorityClass In \[high\]\}\]"):
        rise(pod(priorityClassName="high"), covered_scopes=scopes)
    holding = quota({"pods": "1"}, scopeSelector={"matchExpressions": [CLASSES]})
    assert rise(pod(priorityClassName="high"), holding, covered_scopes=scopes) == {"q": {"pods": "1"}}


@pytest.mark.parametrize("limited", ["pods", [{}], ["pods"], [{"matchContains": ["cpu"]}]])
def test_a_configuration_that_makes_no_sense_stops_the_server(limited: Any) -> None:
    with pytest.raises(ConfigError, match="limitedResources"):
        ResourceQuota(Objects(), registry=lambda: pytest.fail("asked"), configuration={"limitedResources": limited})
