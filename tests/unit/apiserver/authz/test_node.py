from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.apiserver.authz.node import NodeAuthorizer
from k8slite.selectors import FieldSelector, parse_field_selector

KUBELET = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


def pod(name: str, node: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": f"{name}-uid"}
    return {"metadata": metadata, "spec": {"nodeName": node, "serviceAccountName": f"{name}-sa", **spec}}


class Row:
    def __init__(self, key: str, document: dict[str, Any], revision: int) -> None:
        self.key, self.document, self.revision = key, document, revision


class Objects:
    """Objects by key, all groups together."""

    changed = 0

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.plural = ""

    def put(self, document: dict[str, Any], plural: str = "pods") -> None:
        metadata = document["metadata"]
        key = "/".join(["/core", plural, *filter(None, [metadata.get("namespace")]), metadata["name"]])
        self.rows[key] = Row(key, document, len(self.rows) + (self.rows[key].revision if key in self.rows else 1))

    def resource(self, group: str, plural: str) -> Objects:
        view = Objects()
        view.rows, view.plural = self.rows, plural
        return view

    def get(self, namespace: str, name: str) -> Row | None:
        return self.rows.get("/".join(["/core", self.plural, *filter(None, [namespace]), name]))

    def select(self, *, namespace: str = "", fields: FieldSelector = FieldSelector()) -> list[Row]:  # noqa: B008
        node = fields.value_of("spec.nodeName")
        return [
            row
            for key, row in self.rows.items()
            if key.startswith(f"/core/{self.plural}/") and row.document["spec"].get("nodeName") == node
        ]


@pytest.fixture
def objects() -> Objects:
    cluster = Objects()
    cluster.put(
        pod(
            "web",
            "n1",
            volumes=[
                {"name": "a", "secret": {"secretName": "vol"}},
                {"name": "b", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "c", "projected": {"sources": [{"configMap": {"name": "projected"}}]}},
            ],
            imagePullSecrets=[{"name": "pull"}],
            containers=[
                {
                    "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}],
                    "envFrom": [{"configMapRef": {"name": "from"}}],
                }
            ],
        )
    )
    cluster.put(pod("other", "n2", volumes=[{"name": "a", "secret": {"secretName": "theirs"}}]))
    claim = {"metadata": {"name": "data", "namespace": "ns"}, "spec": {"volumeName": "pv-1"}}
    cluster.put(claim, "persistentvolumeclaims")
    csi = {"nodeStageSecretRef": {"namespace": "drivers", "name": "stage"}}
    csi["controllerPublishSecretRef"] = {"namespace": "drivers", "name": "controller"}
    bound = {"namespace": "ns", "name": "data"}
    cluster.put({"metadata": {"name": "pv-1"}, "spec": {"claimRef": bound, "csi": csi}}, "persistentvolumes")
    elsewhere = {"claimRef": {"namespace": "ns", "name": "more"}}
    cluster.put({"metadata": {"name": "pv-2"}, "spec": elsewhere}, "persistentvolumes")
    for name, place in (("a", "n1"), ("b", "n2")):
        for plural in ("volumeattachments", "resourceslices"):
            cluster.put({"metadata": {"name": name}, "spec": {"nodeName": place}}, plural)
        request = {"metadata": {"name": name, "namespace": "ns"}, "spec": {"nodeName": place}}
        cluster.put(request, "podcertificaterequests")
    mirror = pod("mirror", "n1", imagePullSecrets=[{"name": "stolen"}])
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    cluster.put(mirror)
    devices = [{"name": "own", "resourceClaimTemplateName": "t"}, {"name": "shared", "resourceClaimName": "shared"}]
    computing = pod("computing", "n1", resourceClaims=devices)
    computing["status"] = {"resourceClaimStatuses": [{"name": "own", "resourceClaimName": "computing-own-x"}]}
    cluster.put(computing)
    return cluster


async def decide(
    objects: Objects, verb: str, resource: str, name: str = "", *, user: User = KUBELET, fields: str = "", **kw: str
) -> bool:
    return (await opinion(objects, verb, resource, name, user=user, fields=fields, **kw))[0] is Decision.ALLOW


async def opinion(
    objects: Objects, verb: str, resource: str, name: str = "", *, user: User = KUBELET, fields: str = "", **kw: str
) -> tuple[Decision, str]:
    plural, _, subresource = resource.partition("/")
    kw.setdefault("namespace", "ns")
    selector = parse_field_selector(fields)
    attributes = Attributes(user, verb, resource=plural, subresource=subresource, name=name, fields=selector, **kw)
    return await NodeAuthorizer(objects).authorize(attributes)


@pytest.mark.parametrize(
    ("verb", "resource", "name", "expected"),
    [
        ("get", "secrets", "vol", True),
        ("get", "secrets", "env", True),
        ("get", "secrets", "pull", True),
        ("watch", "secrets", "vol", True),
        ("get", "secrets", "theirs", False),
        ("get", "secrets", "stolen", False),
        ("list", "secrets", "", False),
        ("update", "secrets", "vol", False),
        ("get", "configmaps", "from", True),
        ("get", "configmaps", "projected", True),
        ("get", "configmaps", "vol", False),
        ("get", "persistentvolumeclaims", "data", True),
        ("get", "persistentvolumeclaims", "more", False),
        ("list", "persistentvolumeclaims", "data", False),
        ("patch", "persistentvolumeclaims/status", "data", True),
        ("patch", "persistentvolumeclaims/status", "more", False),
        ("patch", "persistentvolumeclaims", "data", False),
        ("get", "serviceaccounts", "web-sa", True),
        ("get", "serviceaccounts", "other-sa", False),
        ("list", "serviceaccounts", "", False),
        ("create", "serviceaccounts", "web-sa", False),
        ("create", "serviceaccounts/token", "web-sa", True),
        ("create", "serviceaccounts/token", "other-sa", False),
        ("create", "serviceaccounts/token", "mirror-sa", False),
        ("get", "pods", "web", True),
        ("get", "pods", "mirror", True),
        ("get", "pods", "other", False),
        ("get", "pods", "none", False),
        ("list", "pods", "", False),
        ("watch", "pods", "web", True),
        ("get", "pods/log", "web", False),
        ("create", "pods/exec", "web", False),
        ("patch", "pods/status", "web", True),
        ("create", "pods/eviction", "web", True),
        ("update", "pods", "web", False),
        ("deletecollection", "pods", "", False),
        ("create", "pods/binding", "web", False),
        ("list", "services", "", True),
        ("create", "events", "", True),
        ("delete", "events", "e", False),
        ("get", "endpoints", "e", True),
        ("list", "namespaces", "", False),
    ],
)
async def test_what_a_kubelet_may(objects: Objects, verb: str, resource: str, name: str, expected: bool) -> None:
    assert await decide(objects, verb, resource, name) is expected


@pytest.mark.parametrize(
    ("verb", "resource", "name", "group", "expected"),
    [
        ("get", "nodes", "n1", "", True),
        ("list", "nodes", "n1", "", True),
        ("get", "nodes", "n2", "", False),
        ("list", "nodes", "", "", False),
        ("create", "nodes", "", "", True),
        ("delete", "nodes", "n1", "", False),
        ("patch", "nodes/status", "n1", "", True),
        ("get", "nodes/proxy", "n1", "", False),
        ("get", "volumeattachments", "a", "storage.k8s.io", True),
        ("get", "volumeattachments", "b", "storage.k8s.io", False),
        ("list", "volumeattachments", "", "storage.k8s.io", False),
        ("get", "csinodes", "n1", "storage.k8s.io", True),
        ("get", "csinodes", "n2", "storage.k8s.io", False),
        ("create", "csinodes", "", "storage.k8s.io", True),
        ("list", "csinodes", "", "storage.k8s.io", False),
        ("list", "csidrivers", "", "storage.k8s.io", True),
        ("get", "resourceslices", "a", "resource.k8s.io", True),
        ("update", "resourceslices", "b", "resource.k8s.io", False),
        ("create", "resourceslices", "", "resource.k8s.io", True),
        ("list", "resourceslices", "", "resource.k8s.io", False),
        ("list", "clustertrustbundles", "", "certificates.k8s.io", True),
        ("create", "certificatesigningrequests", "", "certificates.k8s.io", True),
        ("update", "certificatesigningrequests/approval", "x", "certificates.k8s.io", False),
    ],
)
async def test_what_a_kubelet_may_in_the_cluster(
    objects: Objects, verb: str, resource: str, name: str, group: str, expected: bool
) -> None:
    assert await decide(objects, verb, resource, name, group=group, namespace="") is expected


@pytest.mark.parametrize(
    ("resource", "group", "fields", "expected"),
    [
        ("pods", "", "spec.nodeName=n1", True),
        ("pods", "", "spec.nodeName=n1,status.phase!=Failed", True),
        ("pods", "", "spec.nodeName=n2", False),
        ("pods", "", "spec.nodeName!=n1", False),
        ("pods", "", "status.phase=Running", False),
        ("resourceslices", "resource.k8s.io", "spec.nodeName=n1", True),
        ("resourceslices", "resource.k8s.io", "spec.nodeName=n2", False),
        ("podcertificaterequests", "certificates.k8s.io", "spec.nodeName=n1", True),
        ("podcertificaterequests", "certificates.k8s.io", "", False),
    ],
)
async def test_lists_are_of_its_own_only(
    objects: Objects, resource: str, group: str, fields: str, expected: bool
) -> None:
    for verb in ("list", "watch"):
        assert await decide(objects, verb, resource, group=group, fields=fields, namespace="") is expected


async def test_claims_of_devices(objects: Objects) -> None:
    for name, expected in (("computing-own-x", True), ("shared", True), ("other", False)):
        assert await decide(objects, "get", "resourceclaims", name, group="resource.k8s.io") is expected
    assert not await decide(objects, "update", "resourceclaims/status", "shared", group="resource.k8s.io")


async def test_certificate_requests_of_its_own(objects: Objects) -> None:
    for name, expected in (("a", True), ("b", False)):
        assert await decide(objects, "get", "podcertificaterequests", name, group="certificates.k8s.io") is expected
    where = {"group": "certificates.k8s.io"}
    assert await decide(objects, "create", "podcertificaterequests", **where)
    assert not await decide(objects, "update", "podcertificaterequests/status", "a", **where)


async def test_the_secrets_of_its_pods_volumes(objects: Objects) -> None:
    assert await decide(objects, "get", "secrets", "stage", namespace="drivers")
    assert not await decide(objects, "get", "secrets", "controller", namespace="drivers")
    assert not await decide(objects, "get", "secrets", "stage", namespace="ns")


async def test_references_in_another_namespace_do_not_count(objects: Objects) -> None:
    assert not await decide(objects, "get", "secrets", "vol", namespace="kube-system")


async def test_a_pod_that_comes_to_the_node_counts_at_once(objects: Objects) -> None:
    assert not await decide(objects, "get", "secrets", "theirs")
    objects.put(pod("other", "n1", volumes=[{"name": "a", "secret": {"secretName": "theirs"}}]))
    assert await decide(objects, "get", "secrets", "theirs")


async def test_volume_behind_a_claim(objects: Objects) -> None:
    assert await decide(objects, "get", "persistentvolumes", "pv-1", namespace="")
    assert not await decide(objects, "get", "persistentvolumes", "pv-2", namespace="")


async def test_own_lease_only(objects: Objects) -> None:
    where = {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}
    assert await decide(objects, "update", "leases", "n1", **where)
    assert not await decide(objects, "update", "leases", "n2", **where)
    assert not await decide(objects, "update", "leases", "n1", group="coordination.k8s.io", namespace="ns")


async def test_reasons_say_what_would_be_allowed(objects: Objects) -> None:
    assert (await opinion(objects, "get", "secrets", "x"))[
        1
    ] == "no relationship found between node 'n1' and this object"
    assert (await opinion(objects, "list", "nodes", namespace=""))[1] == (
        "node 'n1' cannot read all nodes, only its own Node object"
    )
    nameless = User("system:node:", groups=("system:nodes",))
    assert (await opinion(objects, "list", "services", user=nameless)) == (
        Decision.NO_OPINION,
        'unknown node for user "system:node:"',
    )


async def test_a_name_alone_does_not_make_a_kubelet(objects: Objects) -> None:
    assert not await decide(objects, "get", "secrets", "vol", user=User("system:node:n1"))
