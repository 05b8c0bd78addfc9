"""Service account tokens: the key, the TokenRequest subresource that issues them, and OIDC discovery.

Verifying is the other half (`authn/serviceaccount.py`); both agree on the claims described here. A token is returned
once and stored nowhere.

Source: Kubernetes API reference, "TokenRequest"; OpenID Connect Discovery 1.0; RFC 7517.
"""

from __future__ import annotations

import hashlib
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from k8slite.clock import Clock, timestamp
from k8slite.config import ConfigError
from k8slite.errors import Cause, bad_request, conflict, invalid, invalid_value, not_found

from ..lookup import Lookup
from ..strategies.base import Document

CLAIMS = "kubernetes.io"
"""The private claim: namespace, serviceaccount, and what the token is bound to."""

_DEFAULT_SECONDS = 3600
_LEAST_SECONDS = 600
_MOST_SECONDS = 1 << 32
_KUBELET_SECONDS = 3607
"""What kubelets ask for. Such a token outlives its stated end by far, for clients that do not read it again."""
_EXTENDED = timedelta(days=365)


def username(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """The key pair that signs and verifies tokens: P-256 (ES256) or RSA (RS256)."""

    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(repr=False)
    algorithm: Literal["ES256", "RS256"]
    identifier: str

    @property
    def public(self) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        """The public half."""
        return self.private.public_key()

    @classmethod
    def load(cls, path: Path) -> TokenKey:
        """Read a private key (PEM). Raises ConfigError."""
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: not a private key") from error
        algorithm: Literal["ES256", "RS256"]
        if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
            algorithm = "ES256"
        elif isinstance(private, rsa.RSAPrivateKey):
            algorithm = "RS256"
        else:
            raise ConfigError(f"{path}: neither a P-256 nor an RSA key")
        der = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        identifier = urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
        return cls(private, algorithm, identifier)


class TokenIssuer:
    """Answers TokenRequests and OIDC discovery."""

    def __init__(self, *, key: TokenKey, issuer: str, lookup: Lookup, clock: Clock) -> None:
        self._key = key
        self._issuer = issuer
        self._lookup = lookup
        self._clock = clock

    def request(self, namespace: str, name: str, body: Document) -> Document:
        """POST serviceaccounts/<name>/token: the TokenRequest with its status. Raises ApiError."""
        account = self._lookup("", "serviceaccounts", namespace, name)
        if account is None:
            raise not_found("serviceaccounts", name)
        spec = body.get("spec") or {}
        seconds = spec.get("expirationSeconds", _DEFAULT_SECONDS)
        if causes := _validate(seconds):
            raise invalid("TokenRequest", "", causes, group="authentication.k8s.io")
        meta, uid = body.get("metadata") or {}, account["metadata"]["uid"]
        if (meta.get("name") or name) != name:
            raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
        if (meta.get("namespace") or namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if (meta.get("uid") or uid) != uid:
            detail = (
                f"the UID in the token request ({meta['uid']}) does not match the UID of the service account ({uid})"
            )
            raise conflict("TokenRequest", name, detail, group="authentication.k8s.io")
        audiences = spec.get("audiences") or [self._issuer]
        private: dict[str, Any] = {"namespace": namespace}
        reference = spec.get("boundObjectRef")
        if reference:
            private |= self._bind(reference, namespace=namespace, account=name)
        private["serviceaccount"] = {"name": name, "uid": account["metadata"]["uid"]}

        now = self._clock.now()
        issued = int(now.timestamp())
        stated = now + timedelta(seconds=seconds)
        ends = stated
        if seconds == _KUBELET_SECONDS and "pod" in private and audiences == [self._issuer]:
            private["warnafter"] = int(stated.timestamp())
            ends = now + _EXTENDED
        claims = {
            "aud": audiences,
            "exp": int(ends.timestamp()),
            "iat": issued,
            "iss": self._issuer,
            "jti": str(uuid.uuid4()),
            CLAIMS: private,
            "nbf": issued,
            "sub": username(namespace, name),
        }
        token = jwt.encode(
            claims, self._key.private, algorithm=self._key.algorithm, headers={"kid": self._key.identifier}
        )
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": timestamp(now)},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
            "status": {"token": token, "expirationTimestamp": timestamp(stated)},
        }

    def _bind(self, reference: Document, *, namespace: str, account: str) -> dict[str, Any]:
        kind, name, uid = reference.get("kind", ""), reference.get("name", ""), reference.get("uid", "")
        plural = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}.get(kind)
        group_version = reference.get("apiVersion") or ""
        if plural is None or "/" in group_version:
            # As Go prints a group, version and kind.
            raise bad_request(f"cannot bind token to object of type {_shown(group_version)}, Kind={kind}")
        found = self._lookup("", plural, "" if kind == "Node" else namespace, name)
        if found is None:
            raise not_found(plural, name)
        actual = found["metadata"]["uid"]
        if uid and uid != actual:
            raise conflict(
                kind,
                name,
                f"the UID in the bound object reference ({uid}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )
        bound: dict[str, Any] = {kind.lower(): {"name": name, "uid": actual}}
        if kind == "Pod":
            spec = found.get("spec") or {}
            if spec.get("serviceAccountName") != account:
                raise bad_request(
                    f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount'
                    " name."
                )
            if node := spec.get("nodeName"):
                record = self._lookup("", "nodes", "", node)
                bound["node"] = {"name": node} | ({"uid": record["metadata"]["uid"]} if record else {})
        return bound

    def discovery(self) -> Document:
        """GET /.well-known/openid-configuration."""
        return {
            "issuer": self._issuer,
            "jwks_uri": f"{self._issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self._key.algorithm],
        }

    def keys(self) -> Document:
        """GET /openid/v1/jwks: the public key."""
        algorithm = jwt.get_algorithm_by_name(self._key.algorithm)
        key = algorithm.to_jwk(self._key.public, as_dict=True)
        key.pop("key_ops", None)
        return {"keys": [{"use": "sig", "kid": self._key.identifier, "alg": self._key.algorithm} | key]}


def _shown(api_version: str) -> str:
    return api_version if "/" in api_version else f"/{api_version}"


def _validate(seconds: object) -> list[Cause]:
    field_path = "spec.expirationSeconds"
    if not isinstance(seconds, int):
        return [invalid_value(field_path, seconds, "must be an integer")]
    if seconds < _LEAST_SECONDS:
        return [invalid_value(field_path, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > _MOST_SECONDS:
        return [invalid_value(field_path, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []
