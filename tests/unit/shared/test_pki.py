from __future__ import annotations

import asyncio
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from k8slite import kubeconfig
from k8slite.pki import Authority, PkiError, ensure_signing_key, write_private

NOW = datetime.now(UTC)


def test_every_file_is_private(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path)
    authority.issue_server("server", common_name="apiserver", hosts=["127.0.0.1", "localhost"])
    authority.issue_client("client", user="alice", groups=["dev"])
    ensure_signing_key(tmp_path / "sa.key")
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
        ["ca.crt", "ca.key", "server.crt", "server.key", "client.crt", "client.key", "sa.key"], 0o600
    )


def test_ensuring_again_changes_nothing(tmp_path: Path) -> None:
    def ensure() -> dict[str, bytes]:
        authority = Authority.ensure(tmp_path)
        authority.issue_server("server", common_name="s", hosts=["::1", "a.example", "127.0.0.1"])
        authority.issue_client("client", user="alice", groups=["dev", "ops"])
        ensure_signing_key(tmp_path / "sa.key")
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert ensure() == ensure()


@pytest.mark.parametrize(
    ("later", "hosts"), [(timedelta(days=300), ["127.0.0.1"]), (timedelta(0), ["127.0.0.1", "10.0.0.1"])]
)
def test_certificate_near_its_end_or_with_other_names_is_replaced(
    tmp_path: Path, later: timedelta, hosts: list[str]
) -> None:
    authority = Authority.ensure(tmp_path, now=NOW)
    before = authority.issue_server("server", common_name="s", hosts=["127.0.0.1"], now=NOW).cert_file.read_bytes()
    ca = authority.cert_file.read_bytes()
    after = Authority.ensure(tmp_path).issue_server("server", common_name="s", hosts=hosts, now=NOW + later)
    assert after.cert_file.read_bytes() != before
    assert authority.cert_file.read_bytes() == ca
    x509.load_pem_x509_certificate(after.cert_file.read_bytes()).verify_directly_issued_by(
        x509.load_pem_x509_certificate(ca)
    )


def test_certificate_of_another_authority_is_replaced(tmp_path: Path) -> None:
    one = Authority.create(tmp_path / "one").issue_client("c", user="u", directory=tmp_path)
    before = one.cert_file.read_bytes()
    assert Authority.create(tmp_path / "two").issue_client("c", user="u", directory=tmp_path) == one
    assert one.cert_file.read_bytes() != before


def test_half_an_authority_is_an_error_not_a_new_one(tmp_path: Path) -> None:
    Authority.create(tmp_path).pair.key_file.unlink()
    with pytest.raises(PkiError, match=r"ca\.key"):
        Authority.ensure(tmp_path)


def test_a_key_that_a_crash_left_alone_gets_its_certificate(tmp_path: Path) -> None:
    before = Authority.ensure(tmp_path, now=NOW)
    pair = before.issue_client("c", user="u", now=NOW)
    issued, key = pair.cert_file.read_bytes(), before.pair.key_file.read_bytes()
    before.cert_file.unlink()
    after = Authority.ensure(tmp_path, now=NOW)
    assert after.pair.key_file.read_bytes() == key
    assert after.issue_client("c", user="u", now=NOW) == pair
    assert pair.cert_file.read_bytes() == issued


async def test_mutual_tls_with_these_certificates(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path)
    server = authority.issue_server("server", common_name="s", hosts=["127.0.0.1"])
    client = authority.issue_client("client", user="alice", groups=["dev"])
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.cert_file))
    listening.load_cert_chain(server.cert_file, server.key_file)
    listening.verify_mode = ssl.CERT_REQUIRED
    listening.verify_flags |= ssl.VERIFY_X509_STRICT
    dialling = ssl.create_default_context(cafile=str(authority.cert_file))
    dialling.verify_flags |= ssl.VERIFY_X509_STRICT
    dialling.load_cert_chain(client.cert_file, client.key_file)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(repr(writer.get_extra_info("peercert")["subject"]).encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=listening) as running:
        reader, writer = await asyncio.open_connection(*running.sockets[0].getsockname(), ssl=dialling)
        subject = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    assert "('commonName', 'alice')" in subject
    assert "('organizationName', 'dev')" in subject


@pytest.mark.parametrize("inline", [True, False])
def test_kubeconfig(tmp_path: Path, inline: bool) -> None:
    authority = Authority.ensure(tmp_path)
    client = authority.issue_client("admin", user="kubernetes-admin", groups=["system:masters"])
    access = kubeconfig.Access("https://127.0.0.1:6443", authority.cert_file, client=client)
    path = kubeconfig.write(tmp_path / "sub" / "kubeconfig", access, inline=inline)
    assert path.stat().st_mode & 0o777 == 0o600
    written = yaml.safe_load(path.read_text())
    assert written["current-context"] == "k8slite"
    user = written["users"][0]["user"]
    assert set(user) == (
        {"client-certificate-data", "client-key-data"} if inline else {"client-certificate", "client-key"}
    )


def test_a_token_is_not_in_the_repr(tmp_path: Path) -> None:
    assert "s3cret" not in repr(kubeconfig.Access("https://x", tmp_path, token="s3cret"))


def test_a_private_file_lasts_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "secret.key", os.fsync
    synced: list[tuple[bool, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_private(path, b"key")
    assert synced == [(False, False), (True, True)]  # the content before it has its name, the name once it has it
    assert path.read_bytes() == b"key" and stat.S_IMODE(path.stat().st_mode) == 0o600
