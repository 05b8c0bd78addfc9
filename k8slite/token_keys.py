"""Keys of service account tokens: one signs, any number verify, so that keys can be rotated.

The API server signs bound tokens and verifies all of them; the controller manager signs those that live in Secrets.
Both name a key by the digest of its public half, as everyone does who verifies such tokens.

Source: Kubernetes documentation, "Managing Service Accounts"; RFC 7518, section 3.1; RFC 7517.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import load_pem_x509_certificate

from .config import ConfigError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
LEGACY_ISSUER = "kubernetes/serviceaccount"
"""The issuer of tokens that live in Secrets."""
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def username(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key: elliptic (ES256, ES384, ES512) or RSA (RS256)."""

    public: PublicKey = field(repr=False)
    algorithm: str
    identifier: str

    @classmethod
    def of(cls, public: object) -> VerificationKey:
        """The key with its algorithm and its name. Raises ValueError for a sort that signs no tokens."""
        algorithm = "RS256" if isinstance(public, rsa.RSAPublicKey) else ""
        if isinstance(public, ec.EllipticCurvePublicKey):
            algorithm = _CURVES.get(public.curve.name, "")
        if not algorithm or not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise ValueError("neither an RSA key nor one of the curves P-256, P-384 and P-521")
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return cls(public, algorithm, urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode())

    def published(self) -> dict[str, Any]:
        """The key as a JSON Web Key."""
        import jwt

        key = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.public, as_dict=True)
        key.pop("key_ops", None)
        return {"use": "sig", "kid": self.identifier, "alg": self.algorithm} | key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key that signs, and what verifies its tokens."""

    private: PrivateKey = field(repr=False)
    verification: VerificationKey

    @property
    def algorithm(self) -> str:
        """The JOSE name of how it signs."""
        return self.verification.algorithm

    @property
    def identifier(self) -> str:
        """The `kid` of its tokens."""
        return self.verification.identifier

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a private key (PEM). Raises ConfigError."""
        try:
            private = serialization.load_pem_private_key(_read(path), password=None)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: not a private key") from error
        try:
            verification = VerificationKey.of(private.public_key())
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
        assert isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        return cls(private, verification)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token with these claims."""
        import jwt

        return jwt.encode(dict(claims), self.private, algorithm=self.algorithm, headers={"kid": self.identifier})


def load_verification_keys(paths: Iterable[Path]) -> list[VerificationKey]:
    """The keys of all files (PEM), each with any number of public or private keys, or certificates.

    Raises ConfigError.
    """
    found: dict[str, VerificationKey] = {}
    for path in paths:
        blocks = list(_BLOCK.finditer(_read(path)))
        keys = [key for block in blocks if (key := _public(block[0], block[1], path)) is not None]
        if not keys:
            raise ConfigError(f"{path}: no public or private key")
        found |= {key.identifier: key for key in keys}
    return list(found.values())


def _public(pem: bytes, label: bytes, path: Path) -> VerificationKey | None:
    try:
        if label.endswith(b"PRIVATE KEY"):
            return VerificationKey.of(serialization.load_pem_private_key(pem, password=None).public_key())
        if label.endswith(b"PUBLIC KEY"):
            return VerificationKey.of(serialization.load_pem_public_key(pem))
        if label == b"CERTIFICATE":
            return VerificationKey.of(load_pem_x509_certificate(pem).public_key())
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return None  # parameters of a curve, as OpenSSL writes them before a key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
