"""Which certificate requests are approved, signed, refused and removed."""

from __future__ import annotations

import base64
import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from k8slite.config import ConfigError, ControllerManagerConfig
from k8slite.controllers.certificates.authorities import authorities
from k8slite.controllers.certificates.plan import (
    CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    LEGACY_UNKNOWN,
    lifetime,
    read,
    recognize,
    refusal,
    removal,
    wants_signature,
)
from k8slite.kinds.certificates import CertificateSigningRequest
from k8slite.pki import Authority, PkiError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODE = ("system:node:n1", ["system:nodes"])
KUBELET_USAGES = ["client auth", "digital signature"]
SERVING_USAGES = ["server auth", "digital signature"]
FOR_CLIENTS = "for client certificate"
_KEY = ec.generate_private_key(ec.SECP256R1())


def asked_for(name: str, organizations: list[str], *alternatives: x509.GeneralName) -> str:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    pem = builder.sign(_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return base64.b64encode(pem).decode()


def request(
    pem: str, signer: str, usages: list[str], *, user: str = "somebody", status: Any = None, **spec: Any
) -> CertificateSigningRequest:
    body = {"request": pem, "signerName": signer, "usages": usages, "username": user, **spec}
    metadata = {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return CertificateSigningRequest.model_validate({"metadata": metadata, "spec": body, "status": status or {}})


DNS, IP = x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))
MAIL, URI = x509.RFC822Name("a@b.c"), x509.UniformResourceIdentifier("https://x")


@pytest.mark.parametrize(
    ("pem", "signer", "usages", "words"),
    [
        (asked_for("alice", ["team"]), CLIENT, ["client auth"], ""),
        (asked_for("alice", [], DNS, URI), CLIENT, ["client auth", "key encipherment"], ""),
        (
            asked_for("alice", []),
            CLIENT,
            ["client auth", "server auth"],
            "invalid usage for client certificate: server auth",
        ),
        (
            asked_for("alice", []),
            CLIENT,
            ["digital signature"],
            "missing required usage for client certificate: client auth",
        ),
        (asked_for("anything", ["team"], MAIL), LEGACY_UNKNOWN, ["code signing"], ""),
        (asked_for(*NODE), KUBELET_CLIENT, KUBELET_USAGES, ""),
        (asked_for(*NODE), KUBELET_CLIENT, [*KUBELET_USAGES, "key encipherment"], ""),
        (asked_for(*NODE), KUBELET_CLIENT, ["client auth"], "[client auth digital signature key encipherment]"),
        (asked_for("system:node:n1", []), KUBELET_CLIENT, KUBELET_USAGES, "organization is not system:nodes"),
        (asked_for("n1", ["system:nodes"]), KUBELET_CLIENT, KUBELET_USAGES, "does not begin with system:node:"),
        (asked_for("system:node:n1", ["system:nodes", "x"]), KUBELET_CLIENT, KUBELET_USAGES, "organization"),
        (asked_for(*NODE, DNS), KUBELET_CLIENT, KUBELET_USAGES, "DNS subjectAltNames are not allowed"),
        (asked_for(*NODE, IP), KUBELET_CLIENT, KUBELET_USAGES, "IP subjectAltNames are not allowed"),
        (asked_for(*NODE, MAIL), KUBELET_CLIENT, KUBELET_USAGES, "Email subjectAltNames are not allowed"),
        (asked_for(*NODE, URI), KUBELET_CLIENT, KUBELET_USAGES, "URI subjectAltNames are not allowed"),
        (asked_for(*NODE, DNS, IP), KUBELET_SERVING, SERVING_USAGES, ""),
        (asked_for(*NODE), KUBELET_SERVING, SERVING_USAGES, "DNS or IP subjectAltName is required"),
        (asked_for(*NODE, DNS, MAIL), KUBELET_SERVING, SERVING_USAGES, "Email subjectAltNames are not allowed"),
        (asked_for(*NODE, DNS), KUBELET_SERVING, KUBELET_USAGES, "usages did not match"),
        (asked_for("alice", [], DNS), KUBELET_SERVING, SERVING_USAGES, "organization is not system:nodes"),
    ],
)
def test_what_a_signer_signs(pem: str, signer: str, usages: list[str], words: str) -> None:
    found = request(pem, signer, usages)
    asked = read(found)
    assert asked is not None
    said = refusal(found, asked)
    assert words in said if words else said == ""


@pytest.mark.parametrize(
    ("user", "name", "signer", "subresources"),
    [
        ("system:node:n1", "system:node:n1", KUBELET_CLIENT, ["selfnodeclient", "nodeclient"]),
        ("system:bootstrap:abc", "system:node:n1", KUBELET_CLIENT, ["nodeclient"]),
        ("system:node:n2", "system:node:n1", KUBELET_CLIENT, ["nodeclient"]),
        ("system:node:n1", "somebody", KUBELET_CLIENT, []),
        ("system:node:n1", "system:node:n1", CLIENT, []),
    ],
)
def test_kubelets_requests_are_recognized(user: str, name: str, signer: str, subresources: list[str]) -> None:
    found = request(asked_for(name, ["system:nodes"]), signer, KUBELET_USAGES, user=user)
    asked = read(found)
    assert asked is not None
    assert [each.subresource for each in recognize(found, asked)] == subresources


def test_bytes_that_are_no_request_are_left_alone() -> None:
    assert read(request(base64.b64encode(b"nothing").decode(), CLIENT, ["client auth"])) is None


def condition(kind: str, at: datetime = NOW) -> dict[str, Any]:
    return {"type": kind, "status": "True", "lastUpdateTime": at.isoformat()}


@pytest.mark.parametrize(
    ("kinds", "signer", "expected"),
    [
        (["Approved"], CLIENT, True),
        ([], CLIENT, False),
        (["Approved"], "example.com/mine", False),
        (["Denied"], CLIENT, False),
        (["Approved", "Failed"], CLIENT, False),
    ],
)
def test_only_what_was_approved_is_signed(kinds: list[str], signer: str, expected: bool) -> None:
    status = {"conditions": [condition(kind) for kind in kinds]}
    assert wants_signature(request(asked_for("a", []), signer, ["client auth"], status=status)) is expected


def test_a_decision_without_a_date_is_no_reason_to_remove() -> None:
    status = {"conditions": [{"type": "Denied", "status": "True"}]}
    assert removal(request(asked_for("a", []), CLIENT, ["client auth"], status=status)) is None


@pytest.mark.parametrize(
    ("kinds", "certificate", "due"),
    [
        ([], False, NOW + timedelta(hours=24)),
        (["Denied"], False, NOW + timedelta(hours=1)),
        (["Approved", "Failed"], False, NOW + timedelta(hours=1)),
        (["Approved"], False, None),
        (["Approved"], True, NOW + timedelta(hours=1)),
    ],
)
def test_requests_go_after_their_time(tmp_path, kinds: list[str], certificate: bool, due: datetime | None) -> None:
    status: dict[str, Any] = {"conditions": [condition(kind) for kind in kinds]}
    if certificate:
        pem = Authority.create(tmp_path, now=NOW).certificate_pem
        status["certificate"] = base64.b64encode(pem).decode()
    assert removal(request(asked_for("a", []), CLIENT, ["client auth"], status=status)) == due


@pytest.mark.parametrize(("asked", "seconds"), [(None, 3600), (1200, 1200), (600, 600), (60, 600), (7200, 3600)])
def test_a_certificate_lives_as_long_as_was_asked_for_and_no_longer_than_allowed(
    asked: int | None, seconds: int
) -> None:
    found = request(asked_for("a", []), CLIENT, ["client auth"], expirationSeconds=asked)
    assert lifetime(found, timedelta(hours=1)) == timedelta(seconds=seconds)


def test_a_signed_certificate_has_the_names_and_usages_of_its_request(tmp_path) -> None:
    authority = Authority.create(tmp_path, now=NOW)
    asked = read(request(asked_for(*NODE, DNS, IP), KUBELET_SERVING, SERVING_USAGES))
    assert asked is not None
    pem = authority.sign(asked, usages=SERVING_USAGES, lifetime=timedelta(hours=2), now=NOW)
    signed = x509.load_pem_x509_certificate(pem)
    signed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))
    assert signed.subject == asked.subject and signed.public_key() == _KEY.public_key()
    names = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [DNS, IP]
    purposes = signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert signed.not_valid_after_utc == NOW + timedelta(hours=2)


def test_no_certificate_outlives_its_authority(tmp_path) -> None:
    authority = Authority.create(tmp_path, now=NOW - timedelta(days=3649))
    asked = read(request(asked_for("a", []), CLIENT, ["client auth"]))
    assert asked is not None
    pem = authority.sign(asked, usages=["client auth"], lifetime=timedelta(days=365), now=NOW)
    assert x509.load_pem_x509_certificate(pem).not_valid_after_utc == NOW + timedelta(days=1)


@pytest.mark.parametrize(("hours", "ends"), [(7, timedelta(hours=7)), (8, timedelta(hours=8, minutes=-5))])
def test_a_certificate_begins_before_it_is_signed_and_a_long_one_ends_as_much_earlier(
    tmp_path: Path, hours: int, ends: timedelta
) -> None:
    asked = read(request(asked_for("a", []), CLIENT, ["client auth"]))
    assert asked is not None
    authority = Authority.create(tmp_path, now=NOW)
    pem = authority.sign(asked, usages=["client auth"], lifetime=timedelta(hours=hours), now=NOW)
    signed = x509.load_pem_x509_certificate(pem)
    assert signed.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert signed.not_valid_after_utc == NOW + ends


def test_an_authority_that_has_ended_signs_nothing(tmp_path: Path) -> None:
    asked = read(request(asked_for("a", []), CLIENT, ["client auth"]))
    assert asked is not None
    authority = Authority.create(tmp_path, now=NOW - timedelta(days=4000))
    with pytest.raises(PkiError, match="refusing to sign"):
        authority.sign(asked, usages=["client auth"], lifetime=timedelta(hours=1), now=NOW)


def settings(directory: Path, **files: str) -> ControllerManagerConfig:
    paths = {f"cluster_signing_{name}": directory / file for name, file in files.items()}
    return ControllerManagerConfig(kubeconfig=directory / "unused", **paths)


def test_each_signer_has_its_authority(tmp_path: Path) -> None:
    Authority.create(tmp_path)
    assert not authorities(settings(tmp_path))
    every = authorities(settings(tmp_path, cert_file="ca.crt", key_file="ca.key"))
    assert set(every) == {CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN}
    one = authorities(settings(tmp_path, kubelet_serving_cert_file="ca.crt", kubelet_serving_key_file="ca.key"))
    assert set(one) == {KUBELET_SERVING}


@pytest.mark.parametrize(
    "files",
    [
        {"cert_file": "ca.crt"},
        {"kubelet_client_key_file": "ca.key"},
        {"cert_file": "missing.crt", "key_file": "ca.key"},
        {
            "cert_file": "ca.crt",
            "key_file": "ca.key",
            "legacy_unknown_cert_file": "ca.crt",
            "legacy_unknown_key_file": "ca.key",
        },
    ],
)
def test_authorities_that_cannot_be(tmp_path: Path, files: dict[str, str]) -> None:
    Authority.create(tmp_path)
    with pytest.raises(ConfigError):
        authorities(settings(tmp_path, **files))


def test_a_new_authority_signs_without_a_restart(tmp_path: Path) -> None:
    Authority.create(tmp_path)
    files = authorities(settings(tmp_path, cert_file="ca.crt", key_file="ca.key"))[CLIENT]
    first = files.current().certificate_pem
    assert files.current().certificate_pem == first
    (tmp_path / "ca.key").write_text("half written")
    assert files.current().certificate_pem == first
    for name in ("ca.crt", "ca.key"):
        (tmp_path / name).unlink()
    second = Authority.create(tmp_path)
    assert files.current().certificate_pem == second.certificate_pem != first
