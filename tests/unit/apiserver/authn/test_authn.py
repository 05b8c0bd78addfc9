from __future__ import annotations

import itertools
import ssl
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from k8slite.apiserver.authn import jwts
from k8slite.apiserver.authn.base import ANONYMOUS, Credentials, Refused
from k8slite.apiserver.authn.chain import Chain
from k8slite.apiserver.authn.serviceaccount import Keys, ServiceAccountTokens
from k8slite.apiserver.authn.static import StaticTokens
from k8slite.apiserver.authn.tokens import Tokens
from k8slite.apiserver.authn.x509 import CertificateAuthenticator
from k8slite.apiserver.lookup import lookup_in
from k8slite.apiserver.strategies.base import Context
from k8slite.apiserver.verbs.tokens import IssuerSettings, TokenIssuer
from k8slite.clock import SystemClock, VirtualClock, timestamp
from k8slite.config import ConfigError
from k8slite.errors import ApiError
from k8slite.pki import Authority, ensure_signing_key
from k8slite.token_keys import SigningKey

ISSUER = "https://kubernetes.default.svc.cluster.local"


UNTIMED: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}


class Row:
    """An object in the cluster, decoded; every look is at a newer revision."""

    revisions = itertools.count(1)

    def __init__(self, document: dict[str, Any]) -> None:
        self.key = ""
        self.document = document
        self.revision = next(self.revisions)


class Rows:
    changed = 0

    def __init__(self, objects: dict[tuple[str, str, str], dict[str, Any]], plural: str) -> None:
        self.objects = objects
        self.plural = plural

    def get(self, namespace: str, name: str) -> Row | None:
        document = self.objects.get((self.plural, namespace, name))
        return Row(document) if document else None

    def select(self, **_: Any) -> list[Row]:
        raise NotImplementedError


class Cluster:
    """A service account `ns/bot`, its pod `ns/web` on node `n1`, and everything that issues and checks tokens."""

    def __init__(self, path: Path, *, rsa_key: bool = False) -> None:
        self.clock = VirtualClock()
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {
            ("serviceaccounts", "ns", "bot"): {"metadata": {"name": "bot", "uid": "sa-1"}},
            ("nodes", "", "n1"): {"metadata": {"name": "n1", "uid": "node-1"}},
            ("pods", "ns", "web"): {
                "metadata": {"name": "web", "uid": "pod-1"},
                "spec": {"serviceAccountName": "bot", "nodeName": "n1"},
            },
        }
        if rsa_key:
            private = rsa.generate_private_key(65537, 2048)
            path.write_bytes(
                private.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
        self.key = SigningKey.load(ensure_signing_key(path))
        keys = Keys([self.key.verification])
        settings = IssuerSettings(ISSUER, (ISSUER,), jwks_uri=f"{ISSUER}/openid/v1/jwks")
        self.issuer = TokenIssuer(key=self.key, keys=keys, settings=settings, lookup=lookup_in(self), clock=self.clock)
        accounts = ServiceAccountTokens(keys=keys, issuers=[ISSUER], objects=self)
        self.tokens = Tokens([accounts], audiences=[ISSUER], clock=self.clock)
        self.chain = Chain(tokens=self.tokens, clock=self.clock)

    def resource(self, group: str, plural: str) -> Rows:
        return Rows(self.objects, plural)

    def request(self, **spec: Any) -> dict[str, Any]:
        """What a TokenRequest is answered with."""
        self.context = Context(
            user=ANONYMOUS, now=self.clock.now(), namespace="ns", dry_run=False, lookup=lookup_in(self), warnings=[]
        )
        return self.issuer.request("ns", "bot", {"spec": spec}, context=self.context)

    def token(self, **spec: Any) -> str:
        token: str = self.request(**spec)["status"]["token"]
        return token

    async def rejects(self, token: str) -> bool:
        try:
            await self.chain.authenticate(Credentials(token=token))
        except ApiError as error:
            assert error.code == 401
            return True
        return False


@pytest.fixture(params=[False, True], ids=["ES256", "RS256"])
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Cluster:
    return Cluster(tmp_path / "sa.key", rsa_key=request.param)


POD = {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": "pod-1"}


async def test_token_of_a_service_account(cluster: Cluster) -> None:
    user = await cluster.chain.authenticate(Credentials(token=cluster.token(boundObjectRef=POD)))
    assert user.name == "system:serviceaccount:ns:bot"
    assert user.uid == "sa-1"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("web",)
    assert user.extra["authentication.kubernetes.io/node-name"] == ("n1",)


async def test_claims_are_those_of_kubernetes(cluster: Cluster) -> None:
    answer = cluster.request(boundObjectRef=POD, expirationSeconds=3607)
    claims = jwt.decode(answer["status"]["token"], options={"verify_signature": False})
    now = int(cluster.clock.now().timestamp())
    assert claims["kubernetes.io"] == {
        "namespace": "ns",
        "pod": {"name": "web", "uid": "pod-1"},
        "node": {"name": "n1", "uid": "node-1"},
        "serviceaccount": {"name": "bot", "uid": "sa-1"},
        "warnafter": now + 3607,
    }
    assert claims["aud"] == [ISSUER]
    assert claims["exp"] > now + 3607
    assert answer["status"]["expirationTimestamp"] == timestamp(cluster.clock.now() + timedelta(seconds=3607))


async def test_expired_token(cluster: Cluster) -> None:
    token = cluster.token(expirationSeconds=600)
    await cluster.clock.advance(599)
    assert not await cluster.rejects(token)
    await cluster.clock.advance(1)
    assert await cluster.rejects(token)


@pytest.mark.parametrize("gone", [("serviceaccounts", "ns", "bot"), ("pods", "ns", "web")])
async def test_token_ends_with_what_it_is_bound_to(cluster: Cluster, gone: tuple[str, str, str]) -> None:
    token = cluster.token(boundObjectRef=POD)
    assert not await cluster.rejects(token)
    cluster.objects[gone]["metadata"]["deletionTimestamp"] = timestamp(cluster.clock.now())
    assert not await cluster.rejects(token)
    await cluster.clock.advance(61)
    assert await cluster.rejects(token)
    cluster.objects[gone] = {"metadata": {"uid": "another"}}
    assert await cluster.rejects(token)
    del cluster.objects[gone]
    assert await cluster.rejects(token)


async def test_token_for_others_is_refused_here(cluster: Cluster) -> None:
    token = cluster.token(audiences=["vault"])
    assert await cluster.rejects(token)
    known = await cluster.tokens.verify(token, ["vault", "x"])
    assert known.user.name == "system:serviceaccount:ns:bot"
    assert known.audiences == ("vault",)


async def test_forged_and_garbled_tokens(cluster: Cluster, tmp_path: Path) -> None:
    token = cluster.token()
    header, payload, signature = token.split(".")
    assert await cluster.rejects(f"{header}.{payload}.{signature[:-4]}AAAA")
    assert await cluster.rejects("not-a-token")
    assert await cluster.rejects("a.b.c")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert await cluster.rejects(jwt.encode(claims, None, algorithm="none"))
    assert await cluster.rejects(jwt.encode(claims, "secret" * 10, algorithm="HS256"))
    other = SigningKey.load(ensure_signing_key(tmp_path / "other.key"))
    assert await cluster.rejects(jwt.encode(claims, other.private, algorithm="ES256"))
    for missing in ("exp", "sub", "kubernetes.io"):
        partial = {key: value for key, value in claims.items() if key != missing}
        assert await cluster.rejects(jwt.encode(partial, cluster.key.private, algorithm=cluster.key.algorithm))


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ({"expirationSeconds": 599}, 422, "less than 10 minutes"),
        ({"expirationSeconds": 1 << 33}, 422, "larger than 2^32 seconds"),
        ({"boundObjectRef": POD | {"uid": "old"}}, 409, "does not match the UID in record"),
        ({"boundObjectRef": POD | {"name": "gone"}}, 404, 'pods "gone" not found'),
        ({"boundObjectRef": {"kind": "Service", "apiVersion": "v1", "name": "s"}}, 400, "cannot bind token"),
    ],
)
def test_bad_token_requests(cluster: Cluster, spec: dict[str, Any], code: int, message: str) -> None:
    with pytest.raises(ApiError, match=message.replace("^", r"\^")) as refused:
        cluster.token(**spec)
    assert refused.value.code == code


def test_token_of_another_account_cannot_be_bound_to_the_pod(cluster: Cluster) -> None:
    cluster.objects["pods", "ns", "web"]["spec"]["serviceAccountName"] = "someone-else"
    with pytest.raises(ApiError, match="different serviceaccount"):
        cluster.token(boundObjectRef=POD)


def test_published_keys_verify_tokens(cluster: Cluster) -> None:
    discovery = cluster.issuer.discovery()
    assert discovery["issuer"] == ISSUER
    published = jwt.PyJWKSet.from_dict(cluster.issuer.keys())
    token = cluster.token()
    key = published[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(
        token,
        key,
        audience=ISSUER,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    assert "d" not in cluster.issuer.keys()["keys"][0]


async def test_certificate(tmp_path: Path) -> None:
    pair = Authority.ensure(tmp_path).issue_client("c", user="alice", groups=["dev", "ops"])
    der = ssl.PEM_cert_to_DER_cert(pair.cert_file.read_text())
    chain = Chain(certificates=[CertificateAuthenticator(clock=SystemClock())])
    user = await chain.authenticate(Credentials(certificate=der))
    assert (user.name, user.groups) == ("alice", ("dev", "ops", "system:authenticated"))
    assert await chain.authenticate(Credentials(certificate=der)) is user


async def test_certificate_that_ended_while_the_connection_lived(tmp_path: Path) -> None:
    clock = VirtualClock()
    pair = Authority.ensure(tmp_path, now=clock.now()).issue_client("c", user="alice", now=clock.now())
    credentials = Credentials(certificate=ssl.PEM_cert_to_DER_cert(pair.cert_file.read_text()))
    authenticator = CertificateAuthenticator(clock=clock)
    assert await authenticator.authenticate(credentials)
    await clock.advance(366 * 86400)
    with pytest.raises(Refused, match="expired"):
        await authenticator.authenticate(credentials)


async def test_static_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text('s3cret,alice,1,"dev,ops"\nother,bob,2\n')
    clock = SystemClock()
    chain = Chain(tokens=Tokens([StaticTokens.load(file)], audiences=["api"], clock=clock))
    user = await chain.authenticate(Credentials(token="s3cret"))
    assert (user.name, user.uid, user.groups) == ("alice", "1", ("dev", "ops", "system:authenticated"))
    assert (await chain.authenticate(Credentials(token="other"))).name == "bob"
    with pytest.raises(ApiError):
        await chain.authenticate(Credentials(token="S3cret"))


def test_bad_token_file_names_the_line_and_no_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text("good,alice,1\ns3cret,bob\n")
    with pytest.raises(ConfigError, match=r"tokens\.csv:2") as refused:
        StaticTokens.load(file)
    assert "s3cret" not in str(refused.value)


async def test_no_credentials_is_anonymous() -> None:
    assert await Chain().authenticate(Credentials()) is ANONYMOUS


def test_secrets_are_not_in_reprs(cluster: Cluster) -> None:
    assert "s3cret" not in repr(Credentials(token="s3cret"))
    assert "PrivateKey" not in repr(cluster.key)


async def test_reviews_of_one_token_for_many_audiences_fill_no_memory(cluster: Cluster) -> None:
    token = cluster.token()
    await cluster.tokens.verify(token)
    tracemalloc.start()
    try:
        for number in range(100):
            known = await cluster.tokens.verify(token, (ISSUER, str(number) * 50_000))
            assert known.audiences == (ISSUER,)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 1 << 20


@pytest.mark.parametrize("claim", ["exp", "nbf"])
def test_a_time_beyond_all_times_is_refused(claim: str) -> None:
    """Issuers' tokens are read before their signatures are: anybody may write anything there."""
    with pytest.raises(Refused):
        jwts.moment({claim: 10**400}, claim)
