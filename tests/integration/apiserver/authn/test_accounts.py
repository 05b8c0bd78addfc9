"""Tokens of ServiceAccounts: what they are bound to, who signed them, for whom they are, and how long they live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from k8slite.pki import ensure_signing_key
from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

from .clients import as_bearer, reason, review, user

ISSUER = "https://kubernetes.default.svc.cluster.local"
NAMESPACE = "/api/v1/namespaces/default"


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


async def make(server: RunningServer, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with server.http() as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def remove(server: RunningServer, path: str) -> None:
    async with server.http() as http:
        answer = await http.delete(path, params={"gracePeriodSeconds": 0})
    assert answer.status_code == 200, answer.text


async def request(server: RunningServer, **spec: Any) -> dict[str, Any]:
    """The TokenRequest for the account `default`, answered."""
    return await make(server, f"{NAMESPACE}/serviceaccounts/default/token", {"spec": spec})


async def token(server: RunningServer, **spec: Any) -> str:
    found: str = (await request(server, **spec))["status"]["token"]
    return found


def claims(text: str) -> dict[str, Any]:
    return jwt.decode(text, options={"verify_signature": False})


POD = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("Pod", f"{NAMESPACE}/pods", POD),
        ("Secret", f"{NAMESPACE}/secrets", {"metadata": {"name": "web"}}),
        ("Node", "/api/v1/nodes", {"metadata": {"name": "web"}}),
    ],
)
async def test_a_token_ends_with_what_it_is_bound_to(
    server: RunningServer, kind: str, path: str, body: dict[str, Any]
) -> None:
    made = await make(server, path, body)
    reference = {"apiVersion": "v1", "kind": kind, "name": "web", "uid": made["metadata"]["uid"]}
    bound = await token(server, boundObjectRef=reference)
    assert claims(bound)["kubernetes.io"][kind.lower()] == {"name": "web", "uid": made["metadata"]["uid"]}
    found = await user(server, bound)
    assert isinstance(found, dict)
    assert found["username"] == "system:serviceaccount:default:default"
    assert found["extra"]["authentication.kubernetes.io/credential-id"] == [f"JTI={claims(bound)['jti']}"]
    if kind != "Secret":
        key = f"authentication.kubernetes.io/{kind.lower()}"
        assert found["extra"][f"{key}-name"] == ["web"]
        assert found["extra"][f"{key}-uid"] == [made["metadata"]["uid"]]
    await remove(server, f"{path}/web")
    assert await user(server, bound) == 401
    assert await reason(server, bound) == "[invalid bearer token, service account token has been invalidated]"
    await make(server, path, body)
    assert await user(server, bound) == 401
    assert "does not match service account" in await reason(server, bound)


async def test_a_token_ends_with_its_account(server: RunningServer) -> None:
    plain = await token(server)
    await remove(server, f"{NAMESPACE}/serviceaccounts/default")
    assert await user(server, plain) == 401
    assert 'serviceaccounts "default" not found' in await reason(server, plain)
    await make(server, f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
    assert await user(server, plain) == 401
    assert "service account UID" in await reason(server, plain)


async def test_audiences_are_kept_apart(server: RunningServer) -> None:
    vault = await token(server, audiences=["vault", "store"])
    assert await user(server, vault) == 401
    words = f'token audiences ["store" "vault"] is invalid for the target audiences ["{ISSUER}"]'
    assert await reason(server, vault) == f"[invalid bearer token, {words}]"
    assert await review(server, vault, "store", "other") == {
        "authenticated": True,
        "user": (await review(server, vault, "vault"))["user"],
        "audiences": ["store"],
    }
    own = await token(server)
    assert (await review(server, own))["audiences"] == [ISSUER]
    assert "authenticated" not in await review(server, own, "vault")


async def test_kubectl_creates_tokens(server: RunningServer) -> None:
    kubectl = Kubectl(server)
    await make(server, f"{NAMESPACE}/pods", POD)
    created = await kubectl(
        "create",
        "token",
        "default",
        "--audience=vault",
        "--audience=store",
        "--duration=20m",
        "--bound-object-kind=Pod",
        "--bound-object-name=web",
    )
    said = claims(created.out)
    assert said["aud"] == ["vault", "store"]
    assert said["exp"] - said["iat"] == 1200
    assert said["kubernetes.io"]["pod"]["name"] == "web"
    assert (await kubectl("create", "token", "default", "-o", "jsonpath={.status.token}")).out.count(".") == 2
    short = await kubectl("create", "token", "default", "--duration=1m")
    assert "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes" in short.err
    missing = await kubectl(
        "create", "token", "default", "--bound-object-kind=Secret", "--bound-object-name=s", "--bound-object-uid=u"
    )
    assert 'secrets "s" not found' in missing.err
    own = (await kubectl("create", "token", "default")).out
    whoami = await Kubectl(server, as_bearer(server, own))("auth", "whoami", "-o", "yaml")
    assert "system:serviceaccount:default:default" in whoami.out


async def test_lives_are_cut_to_the_longest_that_is_allowed() -> None:
    async with running_server(service_account_max_token_expiration=7200.0) as server, server.http() as http:
        answer = await http.post(
            f"{NAMESPACE}/serviceaccounts/default/token", json={"spec": {"expirationSeconds": 86400}}
        )
        assert answer.json()["spec"]["expirationSeconds"] == 7200
        said = claims(answer.json()["status"]["token"])
        assert said["exp"] - said["iat"] == 7200
        assert "requested expiration of 86400 seconds shortened to 7200 seconds" in answer.headers["warning"]


@pytest.mark.parametrize("extend", [True, False])
async def test_tokens_of_kubelets_outlive_their_stated_end_unless_forbidden(extend: bool) -> None:
    async with running_server(service_account_extend_token_expiration=extend) as server:
        made = await make(server, f"{NAMESPACE}/pods", POD)
        reference = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": made["metadata"]["uid"]}
        said = claims(await token(server, boundObjectRef=reference, expirationSeconds=3607))
        assert said["exp"] - said["iat"] == (365 * 86400 if extend else 3607)
        assert ("warnafter" in said["kubernetes.io"]) is extend
        said = claims(await token(server, boundObjectRef=reference, expirationSeconds=3607, audiences=["vault"]))
        assert said["exp"] - said["iat"] == 3607


async def test_what_a_request_says_of_the_account_must_be_right(server: RunningServer) -> None:
    async with server.http() as http:
        path = f"{NAMESPACE}/serviceaccounts/default/token"
        answers = [
            (await http.post(path, json={"metadata": metadata, "spec": {}})).json()
            for metadata in ({"name": "other"}, {"namespace": "other"}, {"uid": "other"})
        ]
        gone = (await http.post(f"{NAMESPACE}/serviceaccounts/gone/token", json={"spec": {}})).json()
    assert [answer["code"] for answer in answers] == [422, 400, 409]
    assert "must match the service account name if specified" in answers[0]["message"]
    assert "does not match the UID of the service account" in answers[2]["message"]
    assert gone["message"] == 'serviceaccounts "gone" not found'


async def test_key_and_issuer_can_be_changed(tmp_path: Path) -> None:
    old_key, new_key = (ensure_signing_key(tmp_path / name) for name in ("old.key", "new.key"))
    state = tmp_path / "state"
    state.mkdir()
    settings: dict[str, Any] = {"store": "sqlite", "directory": state}
    async with running_server(**settings, service_account_key_file=old_key) as server:
        old = await token(server)
    changed: dict[str, Any] = {"service_account_key_file": new_key, "service_account_issuer": "https://new.example.com"}
    async with running_server(**settings, **changed, serviceaccounts=False) as server:
        assert await user(server, old) == 401
        assert await reason(server, old) == "invalid bearer token"
    kept = {"accepted_service_account_issuers": [ISSUER]}
    async with running_server(**settings, **changed, **kept, serviceaccounts=False) as server:
        assert "invalid signature, no keys found" in await reason(server, old)
    kept |= {"service_account_key_files": [old_key]}
    async with running_server(**settings, **changed, **kept, serviceaccounts=False) as server:
        assert isinstance(await user(server, old), dict)
        new = await token(server)
        assert claims(new)["iss"] == "https://new.example.com"
        assert claims(new)["aud"] == ["https://new.example.com", ISSUER]
        assert isinstance(await user(server, new), dict)
        async with server.http(as_bearer(server, new)) as http:
            found = (await http.get("/.well-known/openid-configuration")).json()
            keys = jwt.PyJWKSet.from_dict((await http.get("/openid/v1/jwks")).json())
        assert found["issuer"] == "https://new.example.com"
        assert found["jwks_uri"] == "https://new.example.com/openid/v1/jwks"
        for text in (old, new):
            key = keys[jwt.get_unverified_header(text)["kid"]]
            jwt.decode(text, key, audience=ISSUER)


async def test_others_call_the_server_by_the_names_it_is_given(tmp_path: Path) -> None:
    async with running_server(api_audiences=["cluster-a", "https://api.example.com"]) as server:
        assert claims(await token(server))["aud"] == ["cluster-a", "https://api.example.com"]
        assert isinstance(await user(server, await token(server, audiences=["https://api.example.com"])), dict)
        assert await user(server, await token(server, audiences=[ISSUER])) == 401


async def test_keys_are_published_to_accounts_and_to_whom_the_role_is_bound(server: RunningServer) -> None:
    account = await token(server)
    for path in ("/.well-known/openid-configuration", "/openid/v1/jwks"):
        async with server.http(as_bearer(server, account)) as http:
            answer = await http.get(path)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=3600"
        async with server.http(as_bearer(server, "")) as http:
            assert (await http.get(path)).status_code == 403
    binding = {
        "metadata": {"name": "discovery"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:service-account-issuer-discovery",
        },
        "subjects": [
            {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"},
        ],
    }
    await make(server, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    async with server.http(as_bearer(server, "")) as http:
        keys = (await http.get("/openid/v1/jwks")).json()["keys"]
    assert [key["kid"] for key in keys] == [jwt.get_unverified_header(account)["kid"]]
    assert not {"d", "p", "q"} & keys[0].keys()
