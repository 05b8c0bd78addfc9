from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from k8slite import catalogue
from k8slite.apiserver.admission.base import Admission
from k8slite.apiserver.admission.node_restriction import NodeRestriction
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.apiserver.authz.node import NodeAuthorizer
from k8slite.apiserver.strategies.base import Context
from k8slite.errors import ApiError
from k8slite.selectors import FieldSelector

KUBELET = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


def pod(name: str, node: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": f"{name}-uid"}
    return {"metadata": metadata, "spec": {"nodeName": node, "serviceAccountName": f"{name}-sa", **spec}}


class Row:
    def __init__(self, key: str, document: dict[str, Any], revision: int) -> None:
        self.key, self.document, self.revision = key, document, revision


class Objects:
    """Pods by key; `resource` gives itself, as the authorizer reads pods and claims only."""

    changed = 0

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.plural = ""

    def put(self, document: dict[str, Any], plural: str = "pods") -> None:
        metadata = document["metadata"]
        key = f"/core/{plural}/{metadata['namespace']}/{metadata['name']}"
        self.rows[key] = Row(key, document, len(self.rows) + (self.rows[key].revision if key in self.rows else 1))

    def resource(self, group: str, plural: str) -> Objects:
        view = Objects()
        view.rows, view.plural = self.rows, plural
        return view

    def get(self, namespace: str, name: str) -> Row | None:
        return self.rows.get(f"/core/{self.plural}/{namespace}/{name}")

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
    return cluster


async def decide(
    objects: Objects, verb: str, resource: str, name: str = "", *, user: User = KUBELET, **kw: str
) -> bool:
    plural, _, subresource = resource.partition("/")
    kw.setdefault("namespace", "ns")
    attributes = Attributes(user, verb, resource=plural, subresource=subresource, name=name, **kw)
    return (await NodeAuthorizer(objects).authorize(attributes))[0] is Decision.ALLOW


@pytest.mark.parametrize(
    ("verb", "resource", "name", "expected"),
    [
        ("get", "secrets", "vol", True),
        ("get", "secrets", "env", True),
        ("get", "secrets", "pull", True),
        ("watch", "secrets", "vol", True),
        ("get", "secrets", "theirs", False),
        ("list", "secrets", "", False),
        ("update", "secrets", "vol", False),
        ("get", "configmaps", "from", True),
        ("get", "configmaps", "projected", True),
        ("get", "configmaps", "vol", False),
        ("get", "persistentvolumeclaims", "data", True),
        ("get", "persistentvolumeclaims", "more", False),
        ("create", "serviceaccounts/token", "web-sa", True),
        ("create", "serviceaccounts/token", "other-sa", False),
        ("patch", "pods/status", "web", True),
        ("create", "pods/exec", "web", False),
        ("get", "deployments", "d", False),
    ],
)
async def test_what_a_kubelet_may(objects: Objects, verb: str, resource: str, name: str, expected: bool) -> None:
    assert await decide(objects, verb, resource, name) is expected


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


async def test_a_name_alone_does_not_make_a_kubelet(objects: Objects) -> None:
    assert not await decide(objects, "get", "secrets", "vol", user=User("system:node:n1"))


def admission(operation: Any, plural: str, subresource: str = "", *, new: Any = None, old: Any = None) -> Admission:
    rows = {"web": pod("web", "n1"), "other": pod("other", "n2")}
    group = "coordination.k8s.io" if plural == "leases" else ""
    resource = catalogue.builtin().by_path(group, "v1", plural)
    assert resource
    context = Context(
        user=KUBELET,
        now=datetime(2026, 1, 1, tzinfo=UTC),
        namespace="ns",
        dry_run=False,
        lookup=lambda group, plural, namespace, name: rows.get(name) if plural == "pods" else None,
        warnings=[],
    )
    name = ((new or old)["metadata"] if new or old else {}).get("name", "")
    return Admission(operation, resource, subresource, "ns", name, new, old, context)


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "spec": {}}


def token(name: str, uid: str) -> dict[str, Any]:
    return {"metadata": {"name": "sa"}, "spec": {"boundObjectRef": {"kind": "Pod", "name": name, "uid": uid}}}


OWN, THEIRS = pod("web", "n1"), pod("other", "n2")
TAINTED = node("n1") | {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [
        (admission("UPDATE", "pods", "status", new=OWN, old=OWN), ""),
        (admission("UPDATE", "pods", "status", new=THEIRS, old=THEIRS), "spec.nodeName set to itself"),
        (admission("UPDATE", "pods", new=OWN, old=OWN), "can only update pod status"),
        (admission("DELETE", "pods", old=OWN), ""),
        (admission("DELETE", "pods", old=THEIRS), "can only delete pods"),
        (admission("CREATE", "pods", new=OWN), "mirror pods"),
        (admission("CREATE", "nodes", new=node("n1", **{"kubernetes.io/hostname": "n1"})), ""),
        (admission("UPDATE", "nodes", "status", new=node("n1"), old=node("n1")), ""),
        (admission("UPDATE", "nodes", "status", new=node("n2"), old=node("n2")), 'not allowed to modify node "n2"'),
        (admission("UPDATE", "nodes", new=TAINTED, old=node("n1")), "modify taints"),
        (admission("CREATE", "nodes", new=node("n1", **{"node-role.kubernetes.io/x": ""})), "modify labels"),
        (admission("CREATE", "serviceaccounts", "token", new=token("web", "web-uid")), ""),
        (admission("CREATE", "serviceaccounts", "token", new=token("web", "old")), "existing pods"),
        (admission("CREATE", "serviceaccounts", "token", new=token("other", "other-uid")), "running on it"),
        (admission("UPDATE", "leases", new={"metadata": {"name": "n2"}}), "its own leases"),
        (admission("UPDATE", "leases", new={"metadata": {"name": "n1"}}), ""),
    ],
)
async def test_node_restriction(attempt: Admission, refusal: str) -> None:
    if not refusal:
        await NodeRestriction().validate(attempt)
        return
    with pytest.raises(ApiError, match=refusal) as refused:
        await NodeRestriction().validate(attempt)
    assert refused.value.code == 403
