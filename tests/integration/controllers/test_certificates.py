"""Certificate requests over the real server: who may approve and sign, what kubectl shows, what is done by itself."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from k8slite.client import ClientConfig
from k8slite.pki import write_private
from k8slite.testing.kubectl import Kubectl

from .conftest import Cluster

URL = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
_KEY = ec.generate_private_key(ec.SECP256R1())


def pem(name: str, *organizations: str) -> str:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    return base64.b64encode(builder.sign(_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)).decode()


def body(name: str, request: str, signer: str, *usages: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {"request": request, "signerName": signer, "usages": list(usages), **spec},
    }


async def signed(cluster: Cluster, http: httpx.AsyncClient, name: str) -> str:
    async def look() -> str:
        found = (await http.get(f"{URL}/{name}")).json()
        return str((found.get("status") or {}).get("certificate") or "")

    return base64.b64decode(await cluster.until(look)).decode()


async def test_a_user_is_let_in_with_the_certificate_that_an_administrator_approved(cluster: Cluster) -> None:
    directory = cluster.server.directory
    admin = Kubectl(cluster.server)
    async with cluster.server.http() as http:
        created = await http.post(URL, json=body("alice", pem("alice", "team"), CLIENT, "client auth"))
        assert created.status_code == 201, created.text
        listed = await admin("get", "csr", "alice")
        assert "Pending" in listed.out
        approved = await admin("certificate", "approve", "alice")
        assert "certificatesigningrequest.certificates.k8s.io/alice approved" in approved.out
        certificate = await signed(cluster, http, "alice")
        listed = await admin("get", "csr", "alice")
        assert "Approved,Issued" in listed.out
    write_private(directory / "alice.crt", certificate.encode())
    key = _KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(directory / "alice.key", key)
    mine = ClientConfig(
        cluster.server.url, cluster.server.authority.cert_file, directory / "alice.crt", directory / "alice.key"
    )
    who = await Kubectl(cluster.server, mine)("auth", "whoami", "-o", "json")
    assert '"username": "alice"' in who.out and '"team"' in who.out


async def test_a_certificate_lives_as_long_as_was_asked_for(cluster: Cluster) -> None:
    async with cluster.server.http() as http:
        wanted = body("hour", pem("hour"), CLIENT, "client auth", "digital signature", expirationSeconds=3600)
        assert (await http.post(URL, json=wanted)).status_code == 201
        await Kubectl(cluster.server)("certificate", "approve", "hour")
        certificate = x509.load_pem_x509_certificate((await signed(cluster, http, "hour")).encode())
        # It begins five minutes before it was signed, as upstream's.
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(minutes=65)


async def test_a_denied_request_is_never_signed(cluster: Cluster) -> None:
    async with cluster.server.http() as http:
        await http.post(URL, json=body("bob", pem("bob"), CLIENT, "client auth"))
        denied = await Kubectl(cluster.server)("certificate", "deny", "bob")
        assert "denied" in denied.out
        await http.post(URL, json=body("next", pem("next"), CLIENT, "client auth"))
        await Kubectl(cluster.server)("certificate", "approve", "next")
        await signed(cluster, http, "next")  # by then the denied one has had its turn
        assert "certificate" not in (await http.get(f"{URL}/bob")).json()["status"]


async def test_what_a_signer_cannot_sign_fails(cluster: Cluster) -> None:
    async with cluster.server.http() as http:
        await http.post(URL, json=body("odd", pem("odd"), CLIENT, "client auth", "server auth"))
        await Kubectl(cluster.server)("certificate", "approve", "odd")

        async def failed() -> Any:
            conditions = (await http.get(f"{URL}/odd")).json()["status"].get("conditions") or ()
            return next((item for item in conditions if item["type"] == "Failed"), None)

        condition = await cluster.until(failed)
        assert condition["reason"] == "SignerValidationFailure"
        assert condition["message"] == "invalid usage for client certificate: server auth"


async def test_a_node_gets_its_next_certificate_by_itself(cluster: Cluster) -> None:
    async with cluster.server.http() as http:
        await http.post(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            json={
                "metadata": {"name": "renewal"},
                "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:nodes"}],
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
                },
            },
        )
        node = cluster.server.client_config("system:node:n1", groups=["system:nodes"])
        async with cluster.server.http(node) as kubelet:
            wanted = body("renew", pem("system:node:n1", "system:nodes"), KUBELET, "client auth", "digital signature")
            assert (await kubelet.post(URL, json=wanted)).status_code == 201
        certificate = await signed(cluster, http, "renew")
        assert x509.load_pem_x509_certificate(certificate.encode()).subject.rfc4514_string().count("system:node:n1")
        [condition] = (await http.get(f"{URL}/renew")).json()["status"]["conditions"]
        assert (condition["type"], condition["reason"]) == ("Approved", "AutoApproved")


@pytest.mark.parametrize(("verb", "name"), [("approve", CLIENT), ("approve", "kubernetes.io/*"), ("sign", "x.io/y")])
async def test_who_may_update_requests_may_not_decide_for_every_signer(cluster: Cluster, verb: str, name: str) -> None:
    clerk = cluster.server.client_config("clerk")
    async with cluster.server.http() as http, cluster.server.http(clerk) as mine:
        await grant(http, "clerk", ["certificatesigningrequests/approval", "certificatesigningrequests/status"])
        made = (await http.post(URL, json=body("c", pem("c"), CLIENT, "client auth"))).json()
        condition = {"type": "Approved", "status": "True", "reason": "x", "message": "x"}
        made["status"] = {"conditions": [condition]}
        refused = await mine.put(f"{URL}/c/approval", json=made)
        assert refused.status_code == 403
        assert f'user not permitted to approve requests with signerName "{CLIENT}"' in refused.json()["message"]
        made["status"] = {"conditions": [{**condition, "type": "Failed"}]}
        refused = await mine.put(f"{URL}/c/status", json=made)
        assert f'user not permitted to sign requests with signerName "{CLIENT}"' in refused.json()["message"]
        await grant(http, "decides", ["signers"], verbs=[verb], names=[name])
        made["status"] = {"conditions": [condition]}
        expected = 200 if verb == "approve" else 403
        assert (await mine.put(f"{URL}/c/approval", json=made)).status_code == expected


@pytest.mark.parametrize("group", ["system:masters", "k8slite:kubelet-clients"])
async def test_nobody_asks_for_a_certificate_that_needs_no_role(cluster: Cluster, group: str) -> None:
    async with cluster.server.http() as http:
        refused = await http.post(URL, json=body("root", pem("root", "team", group), CLIENT, "client auth"))
        assert refused.status_code == 403
        assert f"use of {CLIENT} signer with {group} group is not allowed" in refused.json()["message"]


async def grant(
    http: httpx.AsyncClient, name: str, resources: list[str], *, verbs: list[str] | None = None, names: Any = None
) -> None:
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["certificates.k8s.io"], "resources": resources, "verbs": verbs or ["update"]}
    rule |= {"resourceNames": names} if names else {}
    role = {"metadata": {"name": name}, "rules": [rule]}
    assert (await http.post(f"/apis/{group}/v1/clusterroles", json=role)).status_code == 201
    binding = {
        "metadata": {"name": name},
        "subjects": [{"kind": "User", "apiGroup": group, "name": "clerk"}],
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
    }
    assert (await http.post(f"/apis/{group}/v1/clusterrolebindings", json=binding)).status_code == 201
