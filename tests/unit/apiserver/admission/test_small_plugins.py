"""The small plugins: what each sets, what each refuses, and what it leaves alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from k8slite.apiserver.admission.always_pull import AlwaysPullImages
from k8slite.apiserver.admission.base import Plugin
from k8slite.apiserver.admission.claim_resize import PersistentVolumeClaimResize
from k8slite.apiserver.admission.default_class import DefaultIngressClass, DefaultStorageClass
from k8slite.apiserver.admission.extended_resources import ExtendedResourceToleration
from k8slite.apiserver.admission.external_ips import DenyServiceExternalIPs
from k8slite.apiserver.admission.lifecycle import NamespaceLifecycle
from k8slite.apiserver.admission.node_selector import PodNodeSelector
from k8slite.apiserver.admission.node_taints import TaintNodesByCondition
from k8slite.apiserver.admission.owner_references import OwnerReferencesPermissionEnforcement
from k8slite.apiserver.admission.priority import Priority
from k8slite.apiserver.admission.runtime_class import RuntimeClass, merged
from k8slite.apiserver.admission.storage_protection import StorageObjectInUseProtection
from k8slite.apiserver.admission.topology_labels import PodTopologyLabels
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.catalogue import builtin
from k8slite.errors import ApiError

from .rig import Document, Objects, admission, admit, consistent, pod, resources

NETWORKING, STORAGE, SCHEDULING = "networking.k8s.io", "storage.k8s.io", "scheduling.k8s.io"


def made(name: str, *, annotations: dict[str, str] | None = None, at: int = 0, **members: Any) -> Document:
    stamp = f"2026-01-01T00:00:{at:02}Z"
    return {"metadata": {"name": name, "creationTimestamp": stamp, "annotations": annotations or {}}, **members}


def with_objects(group: str, plural: str, *documents: Document) -> Objects:
    objects = Objects()
    objects.resource(group, plural).add(*documents)
    return objects


# RuntimeClass


def runtime(**members: Any) -> RuntimeClass:
    return RuntimeClass(with_objects("node.k8s.io", "runtimeclasses", made("kata", **members)), consistent=consistent)


async def test_a_pod_takes_overhead_and_wishes_of_its_runtime_class() -> None:
    scheduling = {"nodeSelector": {"kata": "yes"}, "tolerations": [{"key": "kata", "operator": "Exists"}]}
    plugin = runtime(overhead={"podFixed": {"cpu": "250m"}}, scheduling=scheduling)
    tolerations = [{"key": "kata", "operator": "Equal", "value": "a"}, {"key": "b", "operator": "Exists"}]
    new = pod(runtimeClassName="kata", nodeSelector={"disk": "ssd"}, tolerations=tolerations)
    spec = (await admit(plugin, admission("pods", new)))["spec"]
    assert spec["overhead"] == {"cpu": "250m"}
    assert spec["nodeSelector"] == {"disk": "ssd", "kata": "yes"}
    assert spec["tolerations"] == [{"key": "b", "operator": "Exists"}, {"key": "kata", "operator": "Exists"}]


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (pod(runtimeClassName="none"), 'pod rejected: RuntimeClass "none" not found'),
        (
            pod(runtimeClassName="kata", overhead={"cpu": "1"}),
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            pod(overhead={"cpu": "1"}),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            pod(runtimeClassName="kata", nodeSelector={"kata": "no"}),
            "conflict: runtimeClass.scheduling.nodeSelector[kata] = yes; pod.spec.nodeSelector[kata] = no",
        ),
    ],
)
async def test_what_contradicts_the_runtime_class_is_refused(new: Document, message: str) -> None:
    plugin = runtime(overhead={"podFixed": {"cpu": "250m"}}, scheduling={"nodeSelector": {"kata": "yes"}})
    with pytest.raises(ApiError) as caught:
        await admit(plugin, admission("pods", copy.deepcopy(new)))
    assert caught.value.message == f'pods "p" is forbidden: {message}'


async def test_overhead_is_compared_by_its_amounts() -> None:
    plugin = runtime(overhead={"podFixed": {"cpu": "250m"}})
    new = pod(runtimeClassName="kata", overhead={"cpu": "0.25"})
    assert (await admit(plugin, admission("pods", new)))["spec"]["overhead"] == {"cpu": "250m"}


async def test_a_runtime_class_that_another_server_made_is_found() -> None:
    objects = Objects()

    async def caught_up() -> None:
        objects.resource("node.k8s.io", "runtimeclasses").add(made("kata"))

    plugin = RuntimeClass(objects, consistent=caught_up)
    await admit(plugin, admission("pods", pod(runtimeClassName="kata")))


def test_a_toleration_that_another_includes_is_dropped() -> None:
    for_ever = {"key": "a", "operator": "Exists", "effect": "NoExecute"}
    for_a_while = {**for_ever, "tolerationSeconds": 5}
    everything = {"operator": "Exists"}
    assert merged([for_a_while, for_ever]) == [for_ever]
    assert merged([for_ever, for_a_while]) == [for_ever]
    assert merged([for_ever, for_ever]) == [for_ever]
    assert merged([for_ever, {"key": "b", "value": "x"}, everything]) == [everything]
    assert len(merged([{"key": "a", "value": "x"}, {"key": "a", "value": "y"}])) == 2


# Nodes


async def test_a_new_node_takes_no_pods() -> None:
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    fresh = {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]}}
    node = await admit(TaintNodesByCondition(), admission("nodes", fresh))
    assert node["spec"]["taints"] == [{"key": "own", "effect": "NoSchedule"}, taint]
    again = await admit(TaintNodesByCondition(), admission("nodes", copy.deepcopy(node)))
    assert again["spec"]["taints"].count(taint) == 1
    bare = await admit(TaintNodesByCondition(), admission("nodes", {"metadata": {"name": "n"}}))
    assert bare["spec"]["taints"] == [taint]


async def test_a_pod_bears_the_zone_of_its_node() -> None:
    labels = {"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r", "other": "x"}
    node = {"metadata": {"name": "n", "labels": labels}}
    plugin = PodTopologyLabels(with_objects("", "nodes", node))
    binding = {"metadata": {"name": "p", "labels": {"a": "b"}}, "target": {"kind": "Node", "name": "n"}}
    bound = await admit(plugin, admission("pods", binding, subresource="binding"))
    expected = {"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r"}
    assert bound["metadata"]["labels"] == {"a": "b", **expected}
    placed = await admit(plugin, admission("pods", pod(nodeName="n")))
    assert placed["metadata"]["labels"] == expected
    assert "labels" not in (await admit(plugin, admission("pods", pod())))["metadata"]
    assert "labels" not in (await admit(plugin, admission("pods", pod(nodeName="gone"))))["metadata"]


# Storage


def claim(storage: str = "1Gi", *, phase: str = "Bound", **spec: Any) -> Document:
    asked = {"resources": {"requests": {"storage": storage}}, **spec}
    return {"metadata": {"name": "c", "namespace": "ns"}, "spec": asked, "status": {"phase": phase}}


async def test_the_newest_default_class_is_taken() -> None:
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    beta = {"storageclass.beta.kubernetes.io/is-default-class": "true"}
    classes = [
        made("old", annotations=beta),
        made("b", annotations=default, at=5),
        made("a", annotations=default, at=5),
    ]
    objects = with_objects(STORAGE, "storageclasses", *classes, made("newer", at=9))
    plugin = DefaultStorageClass(objects)
    assert (await admit(plugin, admission("persistentvolumeclaims", claim())))["spec"]["storageClassName"] == "a"
    kept = await admit(plugin, admission("persistentvolumeclaims", claim(storageClassName="")))
    assert kept["spec"]["storageClassName"] == ""
    old_way = claim()
    old_way["metadata"]["annotations"] = {"volume.beta.kubernetes.io/storage-class": "x"}
    assert "storageClassName" not in (await admit(plugin, admission("persistentvolumeclaims", old_way)))["spec"]
    objects.resource(STORAGE, "storageclasses").add(made("latest", annotations=default, at=20))
    assert (await admit(plugin, admission("persistentvolumeclaims", claim())))["spec"]["storageClassName"] == "latest"


async def test_the_default_ingress_class_is_taken() -> None:
    default = {"ingressclass.kubernetes.io/is-default-class": "true"}
    objects = with_objects(NETWORKING, "ingressclasses", made("web", annotations=default), made("other"))

    async def ingress(annotations: dict[str, str] | None = None, **spec: Any) -> Document:
        new = {"metadata": {"name": "i", "namespace": "ns", "annotations": annotations or {}}, "spec": spec}
        return (await admit(DefaultIngressClass(objects), admission("ingresses", new, group=NETWORKING)))["spec"]

    assert await ingress() == {"ingressClassName": "web"}
    assert await ingress(ingressClassName="other") == {"ingressClassName": "other"}
    assert await ingress({"kubernetes.io/ingress.class": "x"}) == {}


async def test_without_a_default_class_nothing_is_set() -> None:
    made_claim = await admit(DefaultStorageClass(Objects()), admission("persistentvolumeclaims", claim()))
    assert "storageClassName" not in made_claim["spec"]


@pytest.mark.parametrize(
    ("group", "plural", "finalizer"),
    [
        ("", "persistentvolumes", "kubernetes.io/pv-protection"),
        ("", "persistentvolumeclaims", "kubernetes.io/pvc-protection"),
        (STORAGE, "volumeattributesclasses", "kubernetes.io/vac-protection"),
    ],
)
async def test_storage_objects_are_protected_from_the_start(group: str, plural: str, finalizer: str) -> None:
    new = {"metadata": {"name": "x", "finalizers": ["mine/own"]}}
    protected = await admit(StorageObjectInUseProtection(), admission(plural, new, group=group))
    assert protected["metadata"]["finalizers"] == ["mine/own", finalizer]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (claim(storageClassName="yes"), claim("2Gi", storageClassName="yes"), ""),
        (claim("2Gi", storageClassName="no"), claim("1Gi", storageClassName="no"), ""),
        (
            claim(storageClassName="yes", phase="Pending"),
            claim("2Gi", storageClassName="yes"),
            "Only bound persistent volume claims can be expanded",
        ),
        (claim(storageClassName="no"), claim("2Gi", storageClassName="no"), "only dynamically provisioned pvc"),
        (claim(storageClassName="gone"), claim("2Gi", storageClassName="gone"), "only dynamically provisioned pvc"),
        (claim(), claim("2Gi"), "only dynamically provisioned pvc can be resized and the storageclass that provisions"),
    ],
)
async def test_a_claim_grows_where_its_class_allows_it(old: Document, new: Document, message: str) -> None:
    classes = [made("yes", allowVolumeExpansion=True), made("no")]
    plugin = PersistentVolumeClaimResize(with_objects(STORAGE, "storageclasses", *classes))
    written = admission("persistentvolumeclaims", copy.deepcopy(new), old=old)
    if not message:
        await admit(plugin, written)
        return
    with pytest.raises(ApiError, match=message):
        await admit(plugin, written)


# Priority


async def test_there_is_one_default_priority_class() -> None:
    first = {"metadata": {"name": "first"}, "value": 1, "globalDefault": True}
    plugin = Priority(with_objects(SCHEDULING, "priorityclasses", first))
    second = {"metadata": {"name": "second"}, "value": 2, "globalDefault": True}

    def written(new: Document, old: Document | None = None) -> Any:
        return admission("priorityclasses", new, old=old, group=SCHEDULING)

    message = "PriorityClass first is already marked as default. Only one default can exist"
    with pytest.raises(ApiError, match=message):
        await admit(plugin, written(second))
    with pytest.raises(ApiError, match=message):
        await admit(plugin, written(second, {**second, "globalDefault": False}))
    await admit(plugin, written(first, first))
    await admit(plugin, written({**second, "globalDefault": False}))


# Namespaces


async def test_a_namespace_that_another_server_made_a_moment_ago_is_found() -> None:
    objects = Objects()

    async def caught_up() -> None:
        objects.resource("", "namespaces").add({"metadata": {"name": "ns"}})

    await admit(NamespaceLifecycle(objects, consistent=caught_up), admission("pods", pod()))


async def test_a_namespace_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ApiError, match='namespaces "ns" not found'):
        await admit(NamespaceLifecycle(Objects(), consistent=consistent), admission("pods", pod()))


# Those that must be enabled


async def test_images_are_always_pulled() -> None:
    volumes = [{"name": "v", "image": {"reference": "r", "pullPolicy": "Never"}}]
    new = pod({"imagePullPolicy": "Never"}, initContainers=[{"name": "i", "image": "x"}], volumes=volumes)
    spec = (await admit(AlwaysPullImages(), admission("pods", new)))["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == spec["initContainers"][0]["imagePullPolicy"] == "Always"
    assert spec["volumes"][0]["image"]["pullPolicy"] == "Always"


async def test_an_image_that_an_ephemeral_container_brings_is_pulled() -> None:
    old = pod({"imagePullPolicy": "Never"})
    new = copy.deepcopy(old)
    new["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "d", "imagePullPolicy": "IfNotPresent"}]
    spec = (await admit(AlwaysPullImages(), admission("pods", new, old=old, subresource="ephemeralcontainers")))["spec"]
    assert spec["ephemeralContainers"][0]["imagePullPolicy"] == "Always"
    assert spec["containers"][0]["imagePullPolicy"] == "Never"


async def test_a_policy_that_was_changed_back_is_refused() -> None:
    written = admission("pods", pod({"imagePullPolicy": "Never"}))
    with pytest.raises(ApiError) as caught:
        await AlwaysPullImages().validate(written)
    assert caught.value.message == (
        'pods "p" is forbidden: spec.containers[0].imagePullPolicy: Unsupported value: "Never": '
        'supported values: "Always"'
    )


async def test_a_namespace_says_on_which_nodes_its_pods_run() -> None:
    annotations = {"scheduler.alpha.kubernetes.io/node-selector": "pool=oil, tier=a"}
    plugin = PodNodeSelector(with_objects("", "namespaces", made("ns", annotations=annotations)))
    placed = await admit(plugin, admission("pods", pod(nodeSelector={"disk": "ssd"})))
    assert placed["spec"]["nodeSelector"] == {"pool": "oil", "tier": "a", "disk": "ssd"}
    with pytest.raises(ApiError, match="pod node label selector conflicts with its namespace node label selector"):
        await admit(plugin, admission("pods", pod(nodeSelector={"pool": "gas"})))


async def test_pods_that_ask_for_devices_tolerate_their_taint() -> None:
    new = pod(resources({"example.com/gpu": "1", "cpu": "1"}), initContainers=[resources({"a.io/b": "1"})])
    tolerations = (await admit(ExtendedResourceToleration(), admission("pods", new)))["spec"]["tolerations"]
    assert tolerations == [{"key": key, "operator": "Exists"} for key in ("a.io/b", "example.com/gpu")]


async def test_external_addresses_are_denied_but_those_that_are_there_stay() -> None:
    def service(*addresses: str) -> Document:
        return {"metadata": {"name": "s", "namespace": "ns"}, "spec": {"externalIPs": list(addresses)}}

    plugin = DenyServiceExternalIPs()
    await admit(plugin, admission("services", service()))
    await admit(plugin, admission("services", service("1.2.3.4"), old=service("1.2.3.4", "5.6.7.8")))
    for old in (None, service("5.6.7.8")):
        with pytest.raises(ApiError, match="Use of external IPs is denied by admission control"):
            await admit(plugin, admission("services", service("1.2.3.4"), old=old))


class Allowing:
    """An authorizer that allows what is named."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        asked = "/".join(filter(None, (attributes.verb, attributes.resource, attributes.subresource)))
        return (Decision.ALLOW, "") if asked in self.allowed else (Decision.NO_OPINION, "")


def owned(**reference: Any) -> Document:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u", **reference}
    return pod(metadata={"ownerReferences": [owner]})


@pytest.mark.parametrize(
    ("allowed", "new", "old", "message"),
    [
        ((), pod(), None, ""),
        ((), owned(), None, ""),
        ((), owned(), owned(), ""),
        ((), owned(), pod(), "cannot set an ownerRef on a resource you can't delete: , <nil>"),
        (("delete/pods",), owned(), pod(), ""),
        ((), owned(blockOwnerDeletion=True), None, "cannot set blockOwnerDeletion if an ownerReference refers to"),
        (("update/replicasets/finalizers",), owned(blockOwnerDeletion=True), None, ""),
        (
            (),
            owned(blockOwnerDeletion=True, kind="Odd"),
            None,
            "cannot find RESTMapping for APIVersion apps/v1 Kind",
        ),
    ],
)
async def test_owners_are_set_by_those_who_may(
    allowed: tuple[str, ...], new: Document, old: Document | None, message: str
) -> None:
    plugin: Plugin = OwnerReferencesPermissionEnforcement(authorizer=Allowing(*allowed), catalogue=builtin)
    written = admission("pods", copy.deepcopy(new), old=old)
    if not message:
        await admit(plugin, written)
        return
    with pytest.raises(ApiError, match=message):
        await admit(plugin, written)
