"""Aggregated ClusterRoles follow the roles that they gather, and what users may follows at once."""

from __future__ import annotations

from typing import Any

from k8slite.kinds.resources import CLUSTER_ROLES

LABEL = "rbac.authorization.k8s.io/aggregate-to-view"
RULE = {"verbs": ["get"], "apiGroups": ["example.org"], "resources": ["things"]}


async def holds(cluster, name: str) -> bool:
    role = await cluster.get(CLUSTER_ROLES, name)
    return any(rule.api_groups == ["example.org"] for rule in role.rules)


async def may(cluster, group: str) -> bool:
    resource = {"verb": "get", "group": "example.org", "resource": "things", "namespace": "default"}
    body: dict[str, Any] = {"spec": {"user": "alice", "groups": [group], "resourceAttributes": resource}}
    async with cluster.server.http() as http:
        answer = await http.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json=body)
        bound = {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}}
        await http.post(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            json={"metadata": {"name": "b"}, "subjects": [{"kind": "Group", "name": group}], **bound},
        )
    return bool(answer.json()["status"]["allowed"])


async def test_a_role_that_comes_and_goes(cluster):
    await may(cluster, "dev")  # binds the group to admin
    assert not await may(cluster, "dev")
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [RULE]}
    await cluster.client.create(CLUSTER_ROLES, role | {"metadata": {"name": "things", "labels": {LABEL: "true"}}})
    assert await may(cluster, "dev")
    for name in ("view", "edit", "admin"):
        await cluster.until(lambda name=name: holds(cluster, name))
    await cluster.client.patch(CLUSTER_ROLES, "things", {"metadata": {"labels": {LABEL: None}}})
    assert not await may(cluster, "dev")

    async def gone():
        return not any([await holds(cluster, name) for name in ("view", "edit", "admin")])

    await cluster.until(gone)


async def test_what_somebody_writes_into_it_goes_again(cluster):
    before = await cluster.get(CLUSTER_ROLES, "view")
    await cluster.client.patch(CLUSTER_ROLES, "view", {"rules": [RULE]})

    async def restored():
        role = await cluster.get(CLUSTER_ROLES, "view")
        return len(role.rules) == len(before.rules) and not await holds(cluster, "view")

    await cluster.until(restored)
