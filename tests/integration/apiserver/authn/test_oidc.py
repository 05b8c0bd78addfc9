"""Users of an OpenID Connect issuer: its tokens, its keys, its absence, and what its configuration says of them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import kubernetes
import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from k8slite.apiserver import changing_files
from k8slite.apiserver.authn import oidc, provider
from k8slite.testing import running_server
from k8slite.testing.kubectl import Kubectl

from .clients import as_bearer, reason, user
from .issuer import AUDIENCE, OidcIssuer, running_issuer


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[OidcIssuer]:
    async with running_issuer(tmp_path) as issuer:
        yield issuer


def configuration(issuer: OidcIssuer, /, **authenticator: Any) -> dict[str, Any]:
    """A configuration of that issuer; `authenticator` replaces parts of it."""
    jwt = {
        "issuer": {
            "url": issuer.url,
            "certificateAuthority": issuer.authority.certificate_pem.decode(),
            "audiences": [AUDIENCE],
        },
        "claimMappings": {
            "username": {"claim": "sub", "prefix": "oidc:"},
            "groups": {"claim": "groups", "prefix": "oidc:"},
        },
        **authenticator,
    }
    return {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [jwt]}


def written(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


async def test_a_token_of_the_issuer_makes_a_user(tmp_path: Path, issuer: OidcIssuer) -> None:
    file = written(tmp_path / "authn.yaml", configuration(issuer))
    async with running_server(authentication_config_file=file) as server:
        assert issuer.visits.total() == 0
        token = issuer.token(groups=["dev", "ops"], jti="4711")
        assert await user(server, token) == {
            "username": "oidc:jane",
            "groups": ["oidc:dev", "oidc:ops", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=4711"]},
        }
        for _ in range(5):
            await user(server, issuer.token())
        assert issuer.visits["/keys"] == 1
        async with server.http() as http:
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "dev"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "oidc:dev"}],
            }
            await http.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json=binding)
        kubectl = Kubectl(server, as_bearer(server, token))
        whoami = await kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
        assert whoami.out == "oidc:jane"
        assert (await kubectl("get", "pods")).code == 0
        assert "Forbidden" in (await kubectl("get", "secrets")).err
        refused = await Kubectl(server, as_bearer(server, token[:-8] + "AAAAAAAA"))("get", "pods")
        assert "You must be logged in to the server" in refused.err

        loaded = kubernetes.client.Configuration(host=server.url)
        loaded.ssl_ca_cert = str(server.authority.cert_file)
        loaded.api_key = {"authorization": f"Bearer {token}"}
        with kubernetes.client.ApiClient(loaded) as client:
            listed = await asyncio.to_thread(kubernetes.client.CoreV1Api(client).list_namespaced_pod, "default")
        assert listed.items == []


async def test_refused_tokens(tmp_path: Path, issuer: OidcIssuer) -> None:
    file = written(tmp_path / "authn.yaml", configuration(issuer))
    async with running_server(authentication_config_file=file) as server:
        good = issuer.token()
        header, payload, signature = good.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        forged = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "root"}).encode()).rstrip(b"=").decode()
        [(_, private)] = issuer.keys.values()
        public = private.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        confused = _hmac_with(pem, claims)
        refused = {
            issuer.token(lifetime=-1): "oidc: token is expired",
            issuer.token(nbf=int(time.time()) + 300): "before the nbf",
            issuer.token(aud="others"): "expected audience in",
            issuer.token(exp=None): "oidc: token is expired",
            issuer.token(sub=None): "parse username claims",
            issuer.token(groups=[1]): "parse groups claim",
            f"{header}.{forged}.{signature}": "error in cryptographic primitive",
            jwt.encode(claims, None, algorithm="none"): 'unsupported algorithm, got "none"',
            confused: 'unsupported algorithm, got "HS256"',
            issuer.token(iss="https://other.example.com"): "invalid bearer token",
            issuer.token(padding="x" * 20_000): "invalid bearer token",
        }
        for token, words in refused.items():
            assert await user(server, token) == 401
            assert words in await reason(server, token)
        assert await user(server, good) != 401


def _hmac_with(key: bytes, claims: dict[str, Any]) -> str:
    """A token whose signature is right if the public key is taken for a secret."""

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    signed = f"{encoded(json.dumps({'alg': 'HS256', 'kid': 'first'}).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}.{encoded(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


async def test_new_keys_are_noticed_and_strange_ones_do_not_trouble_the_issuer(
    tmp_path: Path, issuer: OidcIssuer
) -> None:
    file = written(tmp_path / "authn.yaml", configuration(issuer))
    async with running_server(authentication_config_file=file) as server:
        old = issuer.token()
        assert await user(server, old) != 401
        issuer.rotate("second", algorithm="ES256")
        assert await user(server, issuer.token()) != 401
        assert issuer.visits["/keys"] == 2
        assert await user(server, issuer.token(headers={"kid": "first"}, sub="x")) == 401
        fetched = issuer.visits["/keys"]
        assert fetched <= 3
        for number in range(10):
            assert await user(server, issuer.token(headers={"kid": f"made-up-{number}"})) == 401
        assert issuer.visits["/keys"] == fetched
        assert await user(server, issuer.token(sub="joe")) != 401


async def test_the_server_works_while_the_issuer_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "RETRY", 0.5)
    async with running_issuer(tmp_path) as issuer:
        port, file = int(issuer.url.rpartition(":")[2]), written(tmp_path / "authn.yaml", configuration(issuer))
    async with running_server(authentication_config_file=file) as server:
        assert await user(server, issuer.token()) == 401
        assert "oidc: authenticator not initialized" in await reason(server, issuer.token())
        async with server.http() as http:
            assert (await http.get("/api/v1/nodes")).status_code == 200
        async with running_issuer(tmp_path, port=port) as again:

            async def known() -> bool:
                return await user(server, again.token()) != 401

            async with asyncio.timeout(30):
                while not await known():  # noqa: ASYNC110 - the server tries again by itself
                    await asyncio.sleep(0.2)


async def test_an_issuer_with_another_authority_is_not_believed(tmp_path: Path, issuer: OidcIssuer) -> None:
    (tmp_path / "other").mkdir()
    async with running_issuer(tmp_path / "other") as other:
        content = configuration(issuer)
        content["jwt"][0]["issuer"]["certificateAuthority"] = other.authority.certificate_pem.decode()
        file = written(tmp_path / "authn.yaml", content)
        async with running_server(authentication_config_file=file) as server:
            assert await user(server, issuer.token()) == 401
            assert "certificate" in await reason(server, issuer.token())


async def test_settings_name_one_issuer(tmp_path: Path, issuer: OidcIssuer) -> None:
    settings = {
        "oidc_issuer_url": issuer.url,
        "oidc_client_id": AUDIENCE,
        "oidc_ca_file": issuer.authority.cert_file,
        "oidc_groups_claim": "roles",
        "oidc_groups_prefix": "team-",
        "oidc_required_claims": {"hd": "example.com"},
    }
    async with running_server(**settings) as server:
        found = await user(server, issuer.token(roles="dev", hd="example.com"))
        assert isinstance(found, dict)
        assert found["username"] == f"{issuer.url}#jane"
        assert found["groups"] == ["team-dev", "system:authenticated"]
        assert await user(server, issuer.token(hd="other.com")) == 401
        assert await user(server, issuer.token()) == 401
        issuer.rotate("elliptic", algorithm="ES256")
        assert await user(server, issuer.token(hd="example.com")) == 401


async def test_expressions_map_and_judge_claims(tmp_path: Path, issuer: OidcIssuer) -> None:
    content = configuration(
        issuer,
        issuer={
            "url": issuer.url,
            "discoveryURL": f"{issuer.url}/elsewhere",
            "certificateAuthority": issuer.authority.certificate_pem.decode(),
            "audiences": [AUDIENCE, "another"],
            "audienceMatchPolicy": "MatchAny",
        },
        claimValidationRules=[
            {"claim": "hd", "requiredValue": "example.com"},
            {"expression": "claims.exp - claims.iat <= 3600", "message": "tokens must not live for more than an hour"},
        ],
        claimMappings={
            "username": {"expression": 'claims.email_verified ? claims.email : "nobody"'},
            "groups": {"expression": 'claims.?roles.orValue([]).map(role, "r:" + role)'},
            "uid": {"claim": "sub"},
            "extra": [
                {"key": "example.com/tenant", "valueExpression": "claims.org.name"},
                {"key": "example.com/plan", "valueExpression": '"plan" in claims ? claims.plan : ""'},
                {"key": "example.com/team", "valueExpression": "claims.example__dot__com__slash__team"},
            ],
        },
        userValidationRules=[
            {"expression": '!user.username.startsWith("system:")', "message": "names of the system are taken"},
            {"expression": 'user.groups.all(group, group != "r:forbidden")', "message": "not that group"},
        ],
    )
    claims: dict[str, Any] = {
        "aud": ["another", "third"],
        "hd": "example.com",
        "email": "jane@example.com",
        "email_verified": True,
        "roles": ["a", "b"],
        "org": {"name": "acme"},
        "example.com/team": ["x", "", "y"],
    }
    async with running_server(authentication_config_file=written(tmp_path / "authn.yaml", content)) as server:
        assert await user(server, issuer.token(**claims)) == {
            "username": "jane@example.com",
            "uid": "jane",
            "groups": ["r:a", "r:b", "system:authenticated"],
            "extra": {"example.com/tenant": ["acme"], "example.com/team": ["x", "y"]},
        }
        assert issuer.visits["/elsewhere"] == 1
        assert issuer.visits["/.well-known/openid-configuration"] == 0
        refused: list[tuple[dict[str, Any], str]] = [
            ({"hd": "other"}, "required claim hd value does not match"),
            ({"lifetime": 7200}, "failed: tokens must not live for more than an hour"),
            ({"email": "system:admin"}, "failed: names of the system are taken"),
            ({"roles": ["forbidden"]}, "failed: not that group"),
            ({"org": None}, "no such key: org"),
            ({"roles": 3}, "group claim expression"),
            ({"email": ""}, "empty username via CEL expression is not allowed"),
        ]
        for change, words in refused:
            token = issuer.token(**{**claims, **change})
            assert await user(server, token) == 401, change
            assert words in await reason(server, token)


async def test_groups_that_lie_elsewhere_are_fetched(tmp_path: Path, issuer: OidcIssuer) -> None:
    file = written(tmp_path / "authn.yaml", configuration(issuer))
    async with running_server(authentication_config_file=file) as server:

        def pointing(path: str, token: str = "for-claims", **claims: Any) -> str:
            source = {"endpoint": f"{issuer.url}{path}", "access_token": token}
            return issuer.token(_claim_names={"groups": "there"}, _claim_sources={"there": source}, **claims)

        issuer.claims = issuer.token(groups=["dev", "ops"])
        found = await user(server, pointing("/claims"))
        assert isinstance(found, dict)
        assert found["groups"] == ["oidc:dev", "oidc:ops", "system:authenticated"]
        own = await user(server, pointing("/claims", groups="own"))
        assert isinstance(own, dict)
        assert own["groups"] == ["oidc:own", "system:authenticated"]
        assert issuer.visits["/claims"] == 1
        refused = {
            pointing("/claims", token="wrong"): "status 404",
            pointing("/nowhere"): "status 404",
            issuer.token(_claim_names={"groups": "there"}): "could not parse claim sources",
            issuer.token(_claim_names={"groups": "there"}, _claim_sources={}): "missing in _claims_sources",
        }
        for token, words in refused.items():
            assert await user(server, token) == 401
            assert words in await reason(server, token)
        bad = {
            issuer.token(): "did not contain claim: groups",
            issuer.token(groups="x", aud="others"): "expected audience in",
            issuer.token(groups="x")[:-6] + "AAAAAA": "error in cryptographic primitive",
            issuer.token(groups="x", iss="http://insecure"): "getting untrusted issuer failed",
            "nonsense": "getting untrusted issuer failed",
        }
        for number, (claims, words) in enumerate(bad.items()):
            issuer.claims = claims
            assert words in await reason(server, pointing("/claims", jti=str(number)))


async def test_a_changed_file_counts_and_a_wrong_one_does_not(
    tmp_path: Path, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing_files, "PERIOD", 0.05)
    monkeypatch.setattr(oidc, "REMEMBERED", 0.5)
    file = written(tmp_path / "authn.yaml", configuration(issuer))

    async with running_server(authentication_config_file=file) as server:

        async def until(wanted: str | int) -> None:
            async with asyncio.timeout(30):
                while True:
                    found = await user(server, issuer.token())
                    if (found["username"] if isinstance(found, dict) else found) == wanted:
                        return
                    await asyncio.sleep(0.1)

        async def reloads(status: str) -> float:
            async with server.http() as http:
                lines = (await http.get("/metrics")).text.splitlines()
            name = "apiserver_authentication_config_controller_automatic_reloads_total"
            return next(float(line.split()[1]) for line in lines if line.startswith(f'{name}{{status="{status}"}}'))

        await until("oidc:jane")
        changed = configuration(issuer, claimMappings={"username": {"claim": "sub", "prefix": "new:"}})
        written(file, changed)
        await until("new:jane")
        assert await reloads("success") == 1
        file.write_text("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{}]\n")
        async with asyncio.timeout(30):
            while await reloads("failure") < 1:
                assert isinstance(await user(server, issuer.token()), dict)
                await asyncio.sleep(0.1)
        await until("new:jane")
        written(file, {**changed, "jwt": []})
        await until(401)
        written(file, changed)
        await until("new:jane")


async def test_anonymous_users_only_where_the_file_says(tmp_path: Path, issuer: OidcIssuer) -> None:
    content = {**configuration(issuer), "anonymous": {"enabled": True, "conditions": [{"path": "/livez"}]}}
    file = written(tmp_path / "authn.yaml", content)
    async with running_server(authentication_config_file=file) as server, server.http(as_bearer(server, "")) as http:
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 401
        assert (await http.get("/livez/ping")).status_code == 401
        assert (await http.get("/api/v1/nodes")).status_code == 401
        written(file, {**content, "anonymous": {"enabled": False}})
        async with asyncio.timeout(30):
            while (await http.get("/livez")).status_code != 401:  # noqa: ASYNC110 - the file is read when it is used
                await asyncio.sleep(0.1)
