"""What is read of certificate requests, also of those that somebody made badly on purpose: an answer or one error."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from k8slite.pki import Authority
from k8slite.signing_requests import Unreadable, read, read_encoded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECT = x509.Name(
    [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "team"), x509.NameAttribute(NameOID.COMMON_NAME, "a")]
)
KEY = ec.generate_private_key(ec.SECP256R1())
DNS = x509.DNSName("abc")
SAN, ISSUER_SAN = bytes.fromhex("0603551d11"), bytes.fromhex("0603551d12")
P256, ECDSA = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06072a8648ce3d0201")


def built(*alternatives: x509.GeneralName) -> x509.CertificateSigningRequestBuilder:
    builder = x509.CertificateSigningRequestBuilder().subject_name(SUBJECT)
    return builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False) if alternatives else builder


def pem(key: object, *alternatives: x509.GeneralName) -> bytes:
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    return built(*alternatives).sign(key, digest).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]


def altered(change: Callable[[bytes], bytes]) -> bytes:
    """A request whose bytes were changed (not their number), with a good signature."""
    builder = built(DNS).add_extension(x509.IssuerAlternativeName([DNS]), critical=False)
    before = builder.sign(KEY, hashes.SHA256()).tbs_certrequest_bytes
    content = change(before)
    assert content != before and len(content) == len(before)
    signature = KEY.sign(content, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    whole = content + algorithm + b"\x03" + bytes([len(signature) + 1]) + b"\0" + signature
    der = b"\x30\x82" + len(whole).to_bytes(2, "big") + whole
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        ed25519.Ed25519PrivateKey.generate(),
        KEY,
        ec.generate_private_key(ec.SECP224R1()),
        ec.generate_private_key(ec.SECP521R1()),
    ],
    ids=["rsa-1024", "ed25519", "p256", "p224", "p521"],
)
def test_what_go_signs_is_signed(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    asked = read(pem(key, DNS))
    assert (asked.common_name, asked.organizations, asked.alternatives) == ("a", ("team",), (DNS,))
    signed = Authority.create(tmp_path, now=NOW).sign(asked, usages=["client auth"], lifetime=timedelta(1), now=NOW)
    assert x509.load_pem_x509_certificate(signed).public_key() == key.public_key()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (dsa.generate_private_key(1024), "algorithm unimplemented"),
        (ed448.Ed448PrivateKey.generate(), "algorithm unimplemented"),
        (ec.generate_private_key(ec.SECP256K1()), "unsupported elliptic curve"),
    ],
    ids=["dsa", "ed448", "secp256k1"],
)
def test_keys_that_go_does_not_know_are_refused(key: object, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(pem(key))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"\x30\x05\x82\x03abc", b"\x30\x05\x82\x09abc"),
        lambda content: content.replace(b"\x82\x03abc", b"\x82\x03\xff\xfe\xfd"),
        lambda content: content.replace(b"\x82\x03abc", b"\x87\x03abc"),
        lambda content: content.replace(b"\x82\x03abc", b"\xa3\x03abc"),
        lambda content: content.replace(ISSUER_SAN, SAN),
        lambda content: content.replace(b"\x0c\x04team", b"\x0c\x04\xff\xfe\xfd\xfc"),
        lambda content: content.replace(b"\x0c\x04team", b"\x02\x04team"),
        lambda content: content.replace(b"\x02\x01\x00", b"\x02\x01\x05", 1),
        lambda content: content.replace(P256, P256[:-1] + b"\x77"),
        lambda content: content.replace(ECDSA, ECDSA[:-1] + b"\x77"),
    ],
    ids=[
        *("name too long", "name not ASCII", "address of three bytes", "X.400 address", "two lists of names"),
        *("organization not UTF-8", "organization a number", "version", "curve", "algorithm"),
    ],
)
def test_odd_requests_are_refused_with_one_error(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Unreadable):
        read(altered(change))


def test_names_of_other_kinds_are_not_signed(tmp_path: Path) -> None:
    principal = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x04root")
    asked = read(
        pem(KEY, principal, DNS, x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), x509.DirectoryName(SUBJECT))
    )
    signed = Authority.create(tmp_path, now=NOW).sign(asked, usages=["client auth"], lifetime=timedelta(1), now=NOW)
    certificate = x509.load_pem_x509_certificate(signed)
    assert list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == [DNS]


def test_a_signature_must_be_of_the_requests_own_key() -> None:
    good = built().sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    bad = base64.encodebytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(Unreadable, match="signature does not match"):
        read(b"-----BEGIN CERTIFICATE REQUEST-----\n" + bad + b"-----END CERTIFICATE REQUEST-----\n")


def test_the_first_block_counts() -> None:
    other = pem(KEY).replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
    with pytest.raises(Unreadable, match="PEM block type must be CERTIFICATE REQUEST"):
        read(other + pem(KEY))
    assert read(b"as was agreed:\n" + pem(KEY) + other).common_name == "a"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode()))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read_encoded(text)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_one_wrong_byte_is_an_error_or_a_request(place: int, byte: int) -> None:
    whole = bytearray(built(DNS).sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
    whole[place % len(whole)] = byte
    block = b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(whole)
    try:
        read(block + b"-----END CERTIFICATE REQUEST-----\n")
    except Unreadable:
        return
