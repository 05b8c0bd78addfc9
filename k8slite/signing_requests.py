"""What a certificate request (PKCS #10) asks for, read whole: those who judge it and those who sign it see the same.

The library reads the parts of a request when they are looked at, and some of what it says of a bad part is no
ValueError. Here all that counts is read at once, and there is one error.

Source: RFC 2986; Kubernetes' apis/certificates/helpers.go (ParseCSR), and what Go's x509 makes of a request.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
FAULTS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises of bytes that it cannot read, when they are loaded or looked at."""
_CURVES = frozenset({"secp224r1", "secp256r1", "secp384r1", "secp521r1"})
_WEAK_HASHES = frozenset({"md5", "sha1"})
_WEAK_RSA = 1024
_NAMES = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
_first_block = re.compile(rb"-----BEGIN ([^-\n]+)-----\s*\n(.*?)-----END \1-----", re.DOTALL).search


class Unreadable(ValueError):
    """Bytes that are no certificate request, or one that nobody should sign."""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What is asked for. `alternatives` are DNS names, addresses, mail addresses and URIs; no other kind is signed."""

    subject: x509.Name
    key: PublicKey
    common_name: str
    organizations: tuple[str, ...]
    alternatives: tuple[x509.GeneralName, ...]


def read_encoded(text: str) -> SigningRequest:
    """The request in the API's form, base64 around PEM. Raises Unreadable."""
    try:
        pem = base64.b64decode(text)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    return read(pem)


def read(pem: bytes) -> SigningRequest:
    """The first block, whose signature must be of its own key. Raises Unreadable."""
    block = _first_block(pem)
    if block is None or block[1] != b"CERTIFICATE REQUEST":
        raise Unreadable("PEM block type must be CERTIFICATE REQUEST")
    try:
        return _read(x509.load_der_x509_csr(base64.b64decode(block[2])))
    except Unreadable:
        raise
    except FAULTS as error:
        raise Unreadable(f"asn1: structure error: {error}") from error


def _read(request: x509.CertificateSigningRequest) -> SigningRequest:
    key = request.public_key()
    if not isinstance(key, PublicKey):
        raise Unreadable("x509: cannot verify signature: algorithm unimplemented")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        raise Unreadable("x509: unsupported elliptic curve")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _WEAK_RSA:
        raise Unreadable(f"crypto/rsa: {key.key_size}-bit keys are insecure")
    hashed = request.signature_hash_algorithm
    if hashed is not None and hashed.name in _WEAK_HASHES:
        raise Unreadable(f"x509: cannot verify signature: insecure algorithm {hashed.name.upper()}")
    if not request.is_signature_valid:
        raise Unreadable("x509: signature does not match the request's key")
    named: list[x509.GeneralName] = []
    for extension in request.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            named += extension.value
    common = _values(request.subject, NameOID.COMMON_NAME)
    return SigningRequest(
        subject=request.subject,
        key=key,
        common_name=common[-1] if common else "",
        organizations=_values(request.subject, NameOID.ORGANIZATION_NAME),
        alternatives=tuple(name for name in named if isinstance(name, _NAMES)),
    )


def _values(subject: x509.Name, kind: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(item.value) for item in subject.get_attributes_for_oid(kind))
