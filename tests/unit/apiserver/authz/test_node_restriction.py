"""What a kubelet may write, object by object."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from k8slite import catalogue
from k8slite.apiserver.admission.base import Admission
from k8slite.apiserver.admission.node_restriction import NodeRestriction
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.apiserver.strategies.base import Context
from k8slite.errors import ApiError

KUBELET = User("system:node:n1", groups=("system:nodes", "system:authenticated"))
MIRROR = "kubernetes.io/config.mirror"


class Allowing:
    """Allows one audience."""

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        wanted = attributes.verb == "request-serviceaccounts-token-audience" and attributes.resource == "allowed"
        return (Decision.ALLOW if wanted else Decision.NO_OPINION), ""


def pod(name: str, node: str, **spec: Any) -> dict[str, Any]:
    token = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"audience": a}} for a in ("", "vault")]}}
    metadata = {"name": name, "namespace": "ns", "uid": f"{name}-uid"}
    claim = {"name": "c", "persistentVolumeClaim": {"claimName": "data"}}
    return {
        "metadata": metadata,
        "spec": {"nodeName": node, "serviceAccountName": "sa", "volumes": [token, claim], **spec},
    }


STORED: dict[tuple[str, str], dict[str, Any]] = {
    ("pods", "web"): pod("web", "n1"),
    ("pods", "other"): pod("other", "n2"),
    ("nodes", "n1"): {"metadata": {"name": "n1", "uid": "n1-uid"}},
    ("serviceaccounts", "sa"): {"metadata": {"name": "sa", "uid": "sa-uid"}},
    ("persistentvolumeclaims", "data"): {"metadata": {"name": "data"}, "spec": {"volumeName": "pv"}},
    ("persistentvolumes", "pv"): {"metadata": {"name": "pv"}, "spec": {"csi": {"driver": "d"}}},
    ("csidrivers", "d"): {"metadata": {"name": "d"}, "spec": {"tokenRequests": [{"audience": "driver"}]}},
}
GROUPS = {
    "leases": "coordination.k8s.io",
    "csinodes": "storage.k8s.io",
    "resourceslices": "resource.k8s.io",
    "podcertificaterequests": "certificates.k8s.io",
}


def admission(
    operation: Any, where: str, *, new: Any = None, old: Any = None, namespace: str = "ns", user: User = KUBELET
) -> Admission:
    plural, _, subresource = where.partition("/")
    resource = catalogue.builtin().by_path(GROUPS.get(plural, ""), "v1", plural)
    assert resource
    context = Context(
        user=user,
        now=datetime(2026, 1, 1, tzinfo=UTC),
        namespace=namespace,
        dry_run=False,
        lookup=lambda group, plural, namespace, name: STORED.get((plural, name)),
        warnings=[],
    )
    name = ((new or old)["metadata"] if new or old else {}).get("name", "")
    return Admission(operation, resource, subresource, namespace, name, new, old, context)


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "spec": {}}


def token(name: str, uid: str, *audiences: str, **reference: str) -> dict[str, Any]:
    bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid} | reference
    return {"metadata": {"name": "sa"}, "spec": {"boundObjectRef": bound, "audiences": list(audiences)}}


def mirror(*, node: str = "n1", owner: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    own = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1-uid", "controller": True}
    owners = [own | (owner or {})]
    metadata = {"name": "static-n1", "annotations": {MIRROR: "x"}, "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"nodeName": node, "containers": [], **spec}}


def projected(**source: Any) -> list[dict[str, Any]]:
    return [{"name": "v", "projected": {"sources": [source]}}]


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(document)
    *way, last = path.split(".")
    place = result
    for step in way:
        place = place.setdefault(step, {})
    place[last] = value
    return result


def certificate(**spec: str) -> dict[str, Any]:
    facts = {
        "nodeName": "n1",
        "nodeUID": "n1-uid",
        "podName": "web",
        "podUID": "web-uid",
        "serviceAccountName": "sa",
        "serviceAccountUID": "sa-uid",
    }
    return {"metadata": {"name": "request"}, "spec": facts | spec}


OWN, THEIRS = STORED["pods", "web"], STORED["pods", "other"]
CLAIM = {
    "metadata": {"name": "data", "resourceVersion": "1"},
    "spec": {"volumeName": "pv"},
    "status": {"phase": "Bound"},
}
OWNER = [{"apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": "1"}]
LEASE = {"namespace": "kube-node-lease"}


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [
        # pods
        (admission("UPDATE", "pods/status", new=changed(OWN, "status.phase", "Running"), old=OWN), ""),
        (admission("UPDATE", "pods/status", new=THEIRS, old=THEIRS), "spec.nodeName set to itself"),
        (admission("UPDATE", "pods/status", new=changed(OWN, "metadata.labels", {"a": "b"}), old=OWN), "update labels"),
        (
            admission(
                "UPDATE", "pods/status", new=changed(OWN, "status.resourceClaimStatuses", [{"name": "a"}]), old=OWN
            ),
            "cannot update resource claim statues",
        ),
        (
            admission(
                "UPDATE",
                "pods/status",
                new=changed(OWN, "status.extendedResourceClaimStatus", {"resourceClaimName": "a"}),
                old=OWN,
            ),
            "cannot update extended resource claim status",
        ),
        (admission("UPDATE", "pods", new=OWN, old=OWN), 'unexpected operation "UPDATE"'),
        (admission("UPDATE", "pods/ephemeralcontainers", new=OWN, old=OWN), "unexpected pod subresource"),
        (admission("UPDATE", "pods/resize", new=OWN, old=OWN), "unexpected pod subresource"),
        (admission("CREATE", "pods/binding", new=OWN), "unexpected pod subresource"),
        (admission("DELETE", "pods", old=OWN), ""),
        (admission("DELETE", "pods", old=THEIRS), "can only delete pods"),
        (admission("CREATE", "pods/eviction", new=OWN), ""),
        (admission("CREATE", "pods/eviction", new=THEIRS), "can only evict pods"),
        # mirror pods
        (admission("CREATE", "pods", new=OWN), "can only create mirror pods"),
        (admission("CREATE", "pods", new=mirror()), ""),
        (admission("CREATE", "pods", new=mirror(node="n2")), "spec.nodeName set to itself"),
        (admission("CREATE", "pods", new=changed(mirror(), "metadata.ownerReferences", [])), "an owner reference set"),
        (admission("CREATE", "pods", new=changed(mirror(), "metadata.ownerReferences", OWNER * 2)), "a single owner"),
        (admission("CREATE", "pods", new=mirror(owner={"name": "n2"})), "an owner reference set to itself"),
        (admission("CREATE", "pods", new=mirror(owner={"controller": False})), "a controller owner reference"),
        (admission("CREATE", "pods", new=mirror(owner={"blockOwnerDeletion": True})), "blockOwnerDeletion"),
        (admission("CREATE", "pods", new=mirror(owner={"uid": "old"})), "UID mismatch"),
        (admission("CREATE", "pods", new=mirror(serviceAccountName="sa")), "reference a service account"),
        (admission("CREATE", "pods", new=mirror(imagePullSecrets=[{"name": "s"}])), "reference secrets"),
        (admission("CREATE", "pods", new=mirror(volumes=projected(configMap={"name": "c"}))), "reference configmaps"),
        (admission("CREATE", "pods", new=mirror(volumes=projected(clusterTrustBundle={"name": "c"}))), "trustbundles"),
        (admission("CREATE", "pods", new=mirror(volumes=projected(serviceAccountToken={}))), "via projected"),
        (admission("CREATE", "pods", new=mirror(volumes=projected(podCertificate={}))), "podcertificaterequests"),
        (admission("CREATE", "pods", new=mirror(volumes=projected(downwardAPI={}))), ""),
        (admission("CREATE", "pods", new=mirror(volumes=[{"name": "v", "hostPath": {"path": "/etc"}}])), ""),
        (
            admission(
                "CREATE", "pods", new=mirror(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "d"}}])
            ),
            "reference persistentvolumeclaims",
        ),
        (admission("CREATE", "pods", new=mirror(volumes=[{"name": "v", "ephemeral": {}}])), "persistentvolumeclaims"),
        (admission("CREATE", "pods", new=mirror(volumes=[{"name": "v", "csi": {"driver": "d"}}])), "csidrivers"),
        (
            admission("CREATE", "pods", new=mirror(resourceClaims=[{"name": "g", "resourceClaimName": "gpu"}])),
            "reference resourceclaims",
        ),
        # nodes
        (admission("CREATE", "nodes", new=node("n1", **{"kubernetes.io/hostname": "n1", "own.org/x": "y"})), ""),
        (admission("CREATE", "nodes", new=node("n2")), 'not allowed to modify node "n2"'),
        (admission("UPDATE", "nodes/status", new=node("n1"), old=node("n1")), ""),
        (admission("UPDATE", "nodes/status", new=node("n2"), old=node("n2")), 'not allowed to modify node "n2"'),
        (
            admission("UPDATE", "nodes", new=changed(node("n1"), "spec.taints", [{"key": "k"}]), old=node("n1")),
            "modify taints",
        ),
        (
            admission("UPDATE", "nodes/status", new=node("n1"), old=changed(node("n1"), "spec.taints", [{"key": "k"}])),
            "modify taints",
        ),
        (
            admission("UPDATE", "nodes", new=changed(node("n1"), "metadata.ownerReferences", OWNER), old=node("n1")),
            "modify ownerReferences",
        ),
        (
            admission(
                "UPDATE", "nodes/status", new=changed(node("n1"), "metadata.ownerReferences", OWNER), old=node("n1")
            ),
            "modify ownerReferences",
        ),
        (admission("CREATE", "nodes", new=node("n1", **{"node-role.kubernetes.io/x": ""})), "the following labels"),
        (
            admission("UPDATE", "nodes", new=node("n1", **{"node-role.kubernetes.io/x": ""}), old=node("n1")),
            "is not allowed to modify labels: node-role.kubernetes.io/x",
        ),
        (
            admission("UPDATE", "nodes", new=node("n1"), old=node("n1", **{"a.node-restriction.kubernetes.io/x": "y"})),
            "modify labels",
        ),
        (
            admission("UPDATE", "nodes", new=node("n1", **{"x.k8s.io/y": ""}), old=node("n1")),
            "is not allowed to modify labels: x.k8s.io/y",
        ),
        (admission("UPDATE", "nodes", new=node("n1", **{"node.kubernetes.io/own": "a"}), old=node("n1")), ""),
        (
            admission(
                "UPDATE", "nodes", new=changed(node("n1"), "spec.configSource", {"configMap": {}}), old=node("n1")
            ),
            "configSource",
        ),
        # tokens
        (admission("CREATE", "serviceaccounts/token", new=token("web", "web-uid")), ""),
        (admission("CREATE", "serviceaccounts/token", new=token("web", "web-uid", "vault")), ""),
        (admission("CREATE", "serviceaccounts/token", new=token("web", "web-uid", "driver")), ""),
        (admission("CREATE", "serviceaccounts/token", new=token("web", "web-uid", "allowed")), ""),
        (
            admission("CREATE", "serviceaccounts/token", new=token("web", "web-uid", "else")),
            'audience "else" not found',
        ),
        (admission("CREATE", "serviceaccounts/token", new=token("web", "web-uid", "", "vault")), "0 or 1 audiences"),
        (admission("CREATE", "serviceaccounts/token", new=token("web", "old")), "does not match the UID in record"),
        (admission("CREATE", "serviceaccounts/token", new=token("web", "")), "without a uid"),
        (admission("CREATE", "serviceaccounts/token", new=token("other", "other-uid")), "on a different node"),
        (
            admission("CREATE", "serviceaccounts/token", new=token("web", "web-uid", kind="Secret")),
            "not bound to a pod",
        ),
        # claims
        (
            admission("UPDATE", "persistentvolumeclaims/status", new=changed(CLAIM, "status.capacity", {}), old=CLAIM),
            "",
        ),
        (
            admission("UPDATE", "persistentvolumeclaims/status", new=changed(CLAIM, "status.phase", "Lost"), old=CLAIM),
            "not allowed to update fields other than",
        ),
        (
            admission(
                "UPDATE", "persistentvolumeclaims/status", new=changed(CLAIM, "metadata.labels", {"a": "b"}), old=CLAIM
            ),
            "not allowed to update fields other than",
        ),
        (admission("UPDATE", "persistentvolumeclaims", new=CLAIM, old=CLAIM), "may only update PVC status"),
        # the rest
        (
            admission("UPDATE", "leases", new={"metadata": {"name": "n2"}}, **LEASE),
            "with the same name as the requesting",
        ),
        (admission("UPDATE", "leases", new={"metadata": {"name": "n1"}}, **LEASE), ""),
        (admission("CREATE", "leases", new={"metadata": {"name": "n1"}}), 'in the "kube-node-lease" system namespace'),
        (admission("CREATE", "csinodes", new={"metadata": {"name": "n2"}}, namespace=""), "can only access CSINode"),
        (admission("CREATE", "resourceslices", new={"metadata": {}, "spec": {"nodeName": "n1"}}), ""),
        (
            admission("CREATE", "resourceslices", new={"metadata": {}, "spec": {"nodeName": "n2"}}),
            "can only create Res",
        ),
        (
            admission("CREATE", "resourceslices", new={"metadata": {}, "spec": {"allNodes": True}}),
            "can only create Res",
        ),
        (
            admission("DELETE", "resourceslices", old={"metadata": {}, "spec": {"nodeName": "n2"}}),
            "can only delete Res",
        ),
        (admission("CREATE", "podcertificaterequests", new=certificate()), ""),
        (admission("CREATE", "podcertificaterequests", new=certificate(nodeName="n2")), "not the requesting node"),
        (admission("CREATE", "podcertificaterequests", new=certificate(podName="other")), "does not run on node"),
        (admission("CREATE", "podcertificaterequests", new=certificate(podUID="old")), "contains podUID"),
        (admission("CREATE", "podcertificaterequests", new=certificate(nodeUID="old")), "contains nodeUID"),
        (admission("CREATE", "podcertificaterequests", new=certificate(serviceAccountName="x")), "contains serviceAcc"),
        # who is no node, or nobody in particular
        (admission("UPDATE", "nodes", new=node("n2"), old=node("n2"), user=User("alice")), ""),
        (admission("UPDATE", "nodes", new=node("n2"), old=node("n2"), user=User("system:node:n1")), ""),
        (
            admission(
                "UPDATE", "nodes", new=node(""), old=node(""), user=User("system:node:", groups=("system:nodes",))
            ),
            "could not determine node",
        ),
    ],
)
async def test_node_restriction(attempt: Admission, refusal: str) -> None:
    plugin = NodeRestriction(Allowing())
    if not refusal:
        await plugin.mutate(attempt)
        return
    with pytest.raises(ApiError, match=refusal) as refused:
        await plugin.mutate(attempt)
    assert refused.value.code == 403


async def test_what_does_not_exist_is_not_found() -> None:
    for attempt in (
        admission("CREATE", "pods/eviction", new={"metadata": {"name": "none"}}),
        admission("CREATE", "serviceaccounts/token", new=token("none", "uid")),
        admission("CREATE", "podcertificaterequests", new=certificate(podName="none")),
    ):
        with pytest.raises(ApiError) as refused:
            await NodeRestriction(Allowing()).mutate(attempt)
        assert refused.value.code == 404


SIMULATOR = User("k8slite:simulator", groups=("k8slite:simulators", "system:authenticated"))


@pytest.mark.parametrize(
    ("operation", "where", "old", "new", "allowed"),
    [
        ("CREATE", "nodes", None, node("s-0", **{"k8slite.io/simulator": "s"}), True),
        ("CREATE", "nodes", None, node("s-0"), False),
        ("UPDATE", "nodes/status", node("played"), node("played"), False),
        ("UPDATE", "nodes", node("n1"), node("n1", **{"k8slite.io/simulator": "s"}), False),
        ("UPDATE", "nodes", node("s-0", **{"k8slite.io/simulator": "s"}), node("s-0"), False),
        ("DELETE", "nodes", node("n1"), None, False),
        ("DELETE", "nodes", node("s-0", **{"k8slite.io/simulator": "s"}), None, True),
        ("UPDATE", "pods/status", pod("p", "played"), pod("p", "played"), True),
        ("UPDATE", "pods/status", pod("p", "n1"), pod("p", "n1"), False),
        ("UPDATE", "pods/status", pod("p", "n1"), pod("p", "played"), False),
        ("UPDATE", "pods/status", pod("p", ""), pod("p", ""), False),
        ("DELETE", "pods", pod("p", "played"), None, True),
        ("DELETE", "pods", pod("p", "n1"), None, False),
        ("UPDATE", "leases", node("played"), node("played"), True),
        ("CREATE", "leases", None, node("n1"), False),
        ("CREATE", "leases", None, node("unknown"), False),
    ],
)
async def test_a_simulator_writes_simulated_nodes_their_pods_and_leases_only(
    monkeypatch: pytest.MonkeyPatch, operation: str, where: str, old: Any, new: Any, allowed: bool
) -> None:
    monkeypatch.setitem(STORED, ("nodes", "played"), node("played", **{"k8slite.io/simulator": "s"}))
    asked = admission(operation, where, old=old, new=new, namespace="kube-node-lease", user=SIMULATOR)
    try:
        await NodeRestriction(Allowing()).mutate(asked)
    except ApiError as error:
        assert (error.code, allowed) == (403, False)
    else:
        assert allowed
