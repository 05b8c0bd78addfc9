"""Secrets with tokens of ServiceAccounts: filled, good for requests, and gone with their account."""

from __future__ import annotations

import base64

import httpx

from k8slite.connection import ClientConfig
from k8slite.kinds.resources import SECRETS, SERVICE_ACCOUNTS


def secret(name: str, account: str) -> dict:
    annotations = {"kubernetes.io/service-account.name": account}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }


async def whoami(cluster, token: str) -> httpx.Response:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    config = ClientConfig(server=cluster.server.url, ca_file=cluster.server.authority.cert_file, token=token)
    async with cluster.server.http(config) as http:
        return await http.post(path, json=body)


async def filled(cluster, name: str):
    """The token that the Secret holds, once it holds one."""

    async def look():
        found = await cluster.get(SECRETS, name)
        return found and found.data.get("token") and found

    return await cluster.until(look)


async def test_a_secret_gets_a_token_that_ends_with_it(cluster):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    made = await cluster.client.create(SERVICE_ACCOUNTS, account, namespace="default")
    await cluster.client.create(SECRETS, secret("robot-token", "robot"), namespace="default")
    found = await filled(cluster, "robot-token")
    assert base64.b64decode(found.data["namespace"]) == b"default"
    assert base64.b64decode(found.data["ca.crt"]) == b"the CA\n"
    assert found.metadata.annotations["kubernetes.io/service-account.uid"] == made.uid
    token = base64.b64decode(found.data["token"]).decode()
    answer = await whoami(cluster, token)
    assert answer.json()["status"]["userInfo"] == {
        "username": "system:serviceaccount:default:robot",
        "uid": made.uid,
        "groups": ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
    }

    async def used():
        return "kubernetes.io/legacy-token-last-used" in (await cluster.get(SECRETS, "robot-token")).metadata.labels

    await cluster.until(used)
    label = {"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}}
    await cluster.client.patch(SECRETS, "robot-token", label, namespace="default")
    assert (await whoami(cluster, token)).status_code == 401
    label["metadata"]["labels"]["kubernetes.io/legacy-token-invalid-since"] = None
    await cluster.client.patch(SECRETS, "robot-token", label, namespace="default")
    assert (await whoami(cluster, token)).status_code == 201
    await cluster.client.delete(SECRETS, "robot-token", namespace="default")
    assert (await whoami(cluster, token)).status_code == 401


async def test_clients_are_warned_of_tokens_that_nobody_asked_for(cluster):
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "old"},
        "secrets": [{"name": "old-token"}, {"name": "other"}],
    }
    await cluster.client.create(SERVICE_ACCOUNTS, account, namespace="default")
    await cluster.client.create(SECRETS, secret("old-token", "old"), namespace="default")
    token = base64.b64decode((await filled(cluster, "old-token")).data["token"]).decode()
    answer = await whoami(cluster, token)
    assert answer.status_code == 201
    assert "instead of auto-generated secret-based tokens" in answer.headers["warning"]
    await cluster.client.delete(SECRETS, "old-token", namespace="default")

    async def forgotten():
        return [item.name for item in (await cluster.get(SERVICE_ACCOUNTS, "old")).secrets] == ["other"]

    await cluster.until(forgotten)


async def test_tokens_go_with_their_account(cluster):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "brief"}}
    await cluster.client.create(SERVICE_ACCOUNTS, account, namespace="default")
    await cluster.client.create(SECRETS, secret("brief-token", "brief"), namespace="default")
    await filled(cluster, "brief-token")
    await cluster.client.delete(SERVICE_ACCOUNTS, "brief", namespace="default")

    async def gone():
        return await cluster.get(SECRETS, "brief-token") is None

    await cluster.until(gone)
    await cluster.client.create(SECRETS, secret("orphan", "nobody"), namespace="default")

    async def orphan_gone():
        return await cluster.get(SECRETS, "orphan") is None

    await cluster.until(orphan_gone)


async def test_an_account_that_is_no_name_is_no_path(cluster):
    """The Secret goes, as any whose account does not exist, and the controller goes on."""
    for name, account in (("odd", "a/../../pods"), ("asking", "?watch=true"), ("above", "..")):
        await cluster.client.create(SECRETS, secret(name, account), namespace="default")

        async def gone(name=name):
            return await cluster.get(SECRETS, name) is None

        await cluster.until(gone)
