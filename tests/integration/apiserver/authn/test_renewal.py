"""Certificates and authorities that are replaced while the server runs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from k8slite.apiserver import changing_files
from k8slite.connection import ClientConfig
from k8slite.pki import Authority
from k8slite.testing import RunningServer, running_server

from .clients import AUTHENTICATION

REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[RunningServer]:
    monkeypatch.setattr(changing_files, "PERIOD", 0.02)
    authority = Authority.ensure(tmp_path, name="clients", common_name="clients")
    async with running_server(client_ca_file=authority.cert_file, serviceaccounts=False) as running:
        yield running


def client(server: RunningServer, authority: Authority, name: str) -> httpx.AsyncClient:
    pair = authority.issue_client(name, user=name)
    ca_file = server.authority.cert_file
    return server.http(ClientConfig(server.url, ca_file=ca_file, cert_file=pair.cert_file, key_file=pair.key_file))


async def name_of(http: httpx.AsyncClient) -> str:
    """Whom the server takes a client for, or how it is refused."""
    try:
        answer = await http.post(f"{AUTHENTICATION}/selfsubjectreviews", json=REVIEW)
    except (httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError) as error:
        return type(error).__name__
    return answer.json()["status"]["userInfo"]["username"] if answer.status_code == 201 else str(answer.status_code)


async def until(look, wanted) -> None:
    """Return when what is seen is what is wanted."""
    async with asyncio.timeout(20):
        while await look() != wanted:  # noqa: ASYNC110 - files are looked at when they are used
            await asyncio.sleep(0.02)


async def serial(server: RunningServer) -> int:
    """The number of the certificate that the server shows."""
    context = ssl.create_default_context(cafile=str(server.authority.cert_file))
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der).serial_number


async def test_a_renewed_certificate_is_shown(server: RunningServer, tmp_path: Path) -> None:
    before = await serial(server)
    hosts = ["127.0.0.1", "localhost", "renewed"]
    new = server.authority.issue_server("renewed", common_name="kube-apiserver", hosts=hosts, directory=tmp_path)
    wanted = x509.load_pem_x509_certificate(new.cert_file.read_bytes()).serial_number
    old_key = server.config.key_file.read_bytes()
    server.config.cert_file.write_bytes(new.cert_file.read_bytes())
    for _ in range(3):  # a certificate without its key changes nothing
        assert await serial(server) == before
    server.config.key_file.write_bytes(new.key_file.read_bytes())
    await until(lambda: serial(server), wanted)
    assert server.config.key_file.read_bytes() != old_key


async def test_another_authority_of_clients_counts_at_once_and_the_old_one_no_longer(
    server: RunningServer, tmp_path: Path
) -> None:
    old, new = (Authority.ensure(tmp_path, name=name, common_name=name) for name in ("clients", "later"))
    async with client(server, old, "alice") as alice, client(server, new, "bob") as bob:
        assert await name_of(alice) == "alice"
        assert await name_of(bob) in ("ReadError", "ConnectError", "RemoteProtocolError")
        server.config.client_ca_file.write_bytes(old.certificate_pem + new.certificate_pem)
        await until(lambda: name_of(bob), "bob")
        assert await name_of(alice) == "alice"
        server.config.client_ca_file.write_bytes(new.certificate_pem)
        # Her connection lives on, and shows what it showed.
        await until(lambda: name_of(alice), "401")
        assert await name_of(bob) == "bob"
    async with client(server, old, "alice") as again:
        assert await name_of(again) in ("ReadError", "ConnectError", "RemoteProtocolError")
