"""Service accounts as objects, the tokens that they are given, and who may do what with them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer

from .watches import watching

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}


def accounts(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/serviceaccounts"


async def test_a_token_is_issued_and_its_review_names_the_account(http: httpx.AsyncClient, namespace: str) -> None:
    made = await http.post(accounts(namespace), json={"metadata": {"name": "robot"}})
    assert made.status_code == 201
    issued = await http.post(f"{accounts(namespace)}/robot/token", json={"spec": {}})
    assert issued.status_code == 201, issued.text
    body = {"spec": {"token": issued.json()["status"]["token"]}}
    review = await http.post("/apis/authentication.k8s.io/v1/tokenreviews", json=body)
    status = review.json()["status"]
    assert (status["authenticated"], "error" in status) == (True, False)
    user = status["user"]
    assert user["username"] == f"system:serviceaccount:{namespace}:robot"
    assert user["uid"] == made.json()["metadata"]["uid"]
    groups = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
    assert groups == set(user["groups"])


async def test_an_account_from_its_making_to_its_end(http: httpx.AsyncClient, namespace: str) -> None:
    url, chosen = accounts(namespace), "test-serviceaccount-static=true"
    async with watching(http, url, labelSelector=chosen) as watch:
        labels = {"test-serviceaccount-static": "true"}
        made = await http.post(url, json={"metadata": {"name": "one", "labels": labels}})
        assert await watch.next() == ("ADDED", made.json())
        patch = {"automountServiceAccountToken": False}
        patched = await http.patch(f"{url}/one", headers=STRATEGIC, json=patch)
        assert patched.status_code == 200, patched.text
        kind, seen = await watch.next()
        assert (kind, seen["automountServiceAccountToken"]) == ("MODIFIED", False)
        listed = (await http.get("/api/v1/serviceaccounts", params={"labelSelector": chosen})).json()["items"]
        assert listed == [seen]
        assert (await http.delete(url, params={"labelSelector": chosen})).status_code == 200
        assert (await watch.next())[0] == "DELETED"


async def test_an_account_is_updated(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"{accounts(namespace)}/default"
    found = (await http.get(url)).json()
    for mounts in (False, True):
        updated = await http.put(url, json={**found, "automountServiceAccountToken": mounts})
        assert updated.status_code == 200, updated.text
        found = (await http.get(url)).json()
        assert found["automountServiceAccountToken"] is mounts


@pytest.mark.parametrize(
    ("account", "pod", "mounts"),
    [
        (None, None, True),
        (None, True, True),
        (None, False, False),
        (True, None, True),
        (True, True, True),
        (True, False, False),
        (False, None, False),
        (False, True, True),
        (False, False, False),
    ],
)
async def test_pods_and_accounts_may_opt_out_of_tokens(
    http: httpx.AsyncClient, account: bool | None, pod: bool | None, mounts: bool
) -> None:
    name = f"{account}-{pod}".lower()
    body: dict[str, Any] = {"metadata": {"name": name}}
    if account is not None:
        body["automountServiceAccountToken"] = account
    assert (await http.post(accounts("default"), json=body)).status_code == 201
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "web:1"}], "serviceAccountName": name}
    if pod is not None:
        spec["automountServiceAccountToken"] = pod
    made = await http.post("/api/v1/namespaces/default/pods", json={"metadata": {"name": name}, "spec": spec})
    assert made.status_code == 201, made.text
    [container] = made.json()["spec"]["containers"]
    paths = [mount["mountPath"] for mount in container.get("volumeMounts") or ()]
    assert paths == (["/var/run/secrets/kubernetes.io/serviceaccount"] if mounts else [])


async def test_a_pod_waits_for_the_account_of_a_new_namespace(http: httpx.AsyncClient, namespace: str) -> None:
    new = f"{namespace}-new"
    assert (await http.post("/api/v1/namespaces", json={"metadata": {"name": new}})).status_code == 201
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    waiting = asyncio.create_task(http.post(f"/api/v1/namespaces/{new}/pods", json=pod))
    # Accounts of other names are nobody's to come.
    named = {**pod, "spec": {**pod["spec"], "serviceAccountName": "other"}}
    refused = await http.post(f"/api/v1/namespaces/{new}/pods", json=named)
    assert refused.status_code == 403 and 'serviceaccount "other" not found' in refused.json()["message"]
    assert not waiting.done()
    assert (await http.post(accounts(new), json={"metadata": {"name": "default"}})).status_code == 201
    made = await waiting
    assert made.status_code == 201, made.text
    assert made.json()["spec"]["serviceAccountName"] == "default"
    assert (await http.delete(f"/api/v1/namespaces/{new}/pods/p?gracePeriodSeconds=0")).status_code == 200
    await http.delete(f"{accounts(new)}/default")
    # Where none comes, one hears of it.
    gone = await http.post(f"/api/v1/namespaces/{new}/pods", json=pod)
    assert gone.status_code == 403 and 'serviceaccount "default" not found' in gone.json()["message"]


@pytest.mark.parametrize("granted", [False, True])
async def test_reviews_foretell_what_requests_meet(
    http: httpx.AsyncClient, server: RunningServer, namespace: str, granted: bool
) -> None:
    account = (await http.post(accounts(namespace), json={"metadata": {"name": "e2e"}})).json()
    user = f"system:serviceaccount:{namespace}:e2e"
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    if granted:
        body = {
            "metadata": {"name": "view"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "e2e", "namespace": namespace}],
        }
        url = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
        assert (await http.post(url, json=body)).status_code == 201
    attributes = {"verb": "list", "resource": "configmaps", "namespace": namespace, "version": "v1"}
    spec = {"resourceAttributes": attributes, "user": user, "groups": groups, "uid": account["metadata"]["uid"]}
    group = "/apis/authorization.k8s.io/v1"
    wide = await http.post(f"{group}/subjectaccessreviews", json={"spec": spec})
    local = await http.post(
        f"{group}/namespaces/{namespace}/localsubjectaccessreviews",
        json={"metadata": {"namespace": namespace}, "spec": spec},
    )
    assert (wide.status_code, local.status_code) == (201, 201), (wide.text, local.text)
    headers = [("impersonate-user", user), ("impersonate-uid", account["metadata"]["uid"])]
    headers += [("impersonate-group", each) for each in groups]
    listed = await http.get(f"/api/v1/namespaces/{namespace}/configmaps", headers=headers)
    assert listed.status_code == (200 if granted else 403)
    assert [answer.json()["status"]["allowed"] for answer in (wide, local)] == [granted, granted]
