"""Client certificates: who they make of their holder, and which are none."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from k8slite.connection import ClientConfig
from k8slite.testing import RunningServer

from .clients import AUTHENTICATION

pytestmark = pytest.mark.asyncio(loop_scope="module")
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
UID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
NO_CONNECTION = (httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError, ssl.SSLError)


@pytest_asyncio.fixture(loop_scope="module")
async def issue(server: RunningServer, tmp_path: Path) -> Issue:
    return Issue(server, tmp_path)


class Issue:
    """Signs whatever is asked for, with the authority of clients."""

    def __init__(self, server: RunningServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        pair = server.authority.pair
        self.authority = x509.load_pem_x509_certificate(pair.cert_file.read_bytes())
        self.key = serialization.load_pem_private_key(pair.key_file.read_bytes(), password=None)

    def client(
        self,
        *attributes: tuple[x509.ObjectIdentifier, str],
        usages: tuple[x509.ObjectIdentifier, ...] = (CLIENT,),
        lasts: timedelta = timedelta(hours=1),
    ) -> httpx.AsyncClient:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(*attribute) for attribute in attributes]))
            .issuer_name(self.authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + lasts)
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        cert_file, key_file = self.directory / "c.crt", self.directory / "c.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        server = self.server
        return server.http(
            ClientConfig(server.url, ca_file=server.authority.cert_file, cert_file=cert_file, key_file=key_file)
        )


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    async with client as http:
        return await http.post(f"{AUTHENTICATION}/selfsubjectreviews", json=REVIEW)


async def test_name_groups_and_uid(issue: Issue) -> None:
    names = [(NameOID.ORGANIZATION_NAME, "dev"), (NameOID.ORGANIZATION_NAME, "ops"), (NameOID.COMMON_NAME, "jane")]
    found = (await ask(issue.client(*names, (UID, "4711")))).json()["status"]["userInfo"]
    assert (found["username"], found["uid"]) == ("jane", "4711")
    assert sorted(found["groups"]) == ["dev", "ops", "system:authenticated"]
    [credential] = found["extra"]["authentication.kubernetes.io/credential-id"]
    assert credential.startswith("X509SHA256=")
    assert (await ask(issue.client(*names, (UID, "1"), (UID, "2")))).status_code == 401


async def test_a_certificate_without_a_name_names_nobody(issue: Issue) -> None:
    answer = await ask(issue.client((NameOID.ORGANIZATION_NAME, "system:masters")))
    assert answer.status_code == 403
    assert 'User "system:anonymous" cannot create' in answer.json()["message"]


async def test_only_certificates_for_clients_are_taken(issue: Issue) -> None:
    name = (NameOID.COMMON_NAME, "jane")
    for usages in ((CLIENT,), (CLIENT, SERVER), ()):
        assert (await ask(issue.client(name, usages=usages))).status_code == 201
    with pytest.raises(NO_CONNECTION):
        await ask(issue.client(name, usages=(SERVER,)))
    with pytest.raises(NO_CONNECTION):
        await ask(issue.client(name, lasts=-timedelta(hours=1)))
