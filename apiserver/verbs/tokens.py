"""Service account tokens: the TokenRequest subresource that issues them, and OIDC discovery.

Verifying is the other half (`authn/serviceaccount.py`); both agree on the claims. A token is returned once and stored
nowhere.

Source: Kubernetes API reference, "TokenRequest"; OpenID Connect Discovery 1.0; RFC 7517.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from k8slite.clock import Clock, timestamp
from k8slite.config import ApiServerConfig, ConfigError
from k8slite.errors import Cause, bad_request, conflict, invalid, invalid_value, not_found
from k8slite.token_keys import SigningKey, username

from ..authn.serviceaccount import CLAIMS, Keys
from ..lookup import Lookup
from ..strategies.base import Context, Document

_GROUP = "authentication.k8s.io"
_DEFAULT_SECONDS = 3600
_LEAST_SECONDS = 600
_MOST_SECONDS = 1 << 32
_LEAST_MAXIMUM = 3600.0
_KUBELET_SECONDS = 3607
"""What kubelets ask for. Such a token outlives its stated end by far, for clients that do not read it again."""
_EXTENDED = timedelta(days=365)
_ISSUED = "authentication.kubernetes.io/issued-credential-id"
"""The audit annotation that names the token that a request gave out."""


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """Whose tokens are issued, for whom and for how long.

    `audiences` are those of a token that asks for none, `longest` the most seconds that a token may live (0: no limit),
    `extend` whether the tokens of kubelets outlive their stated end.
    """

    issuer: str
    audiences: tuple[str, ...]
    longest: int = 0
    extend: bool = True
    jwks_uri: str = ""

    @classmethod
    def of(cls, config: ApiServerConfig) -> IssuerSettings:
        """Those of a configuration. Raises ConfigError."""
        longest = config.service_account_max_token_expiration
        if longest and not _LEAST_MAXIMUM <= longest <= _MOST_SECONDS:
            raise ConfigError("serviceAccountMaxTokenExpiration must be between 1 hour and 2^32 seconds")
        uri = config.service_account_jwks_uri
        if uri and not uri.startswith("https://"):
            raise ConfigError(f"serviceAccountJwksUri requires https scheme: {uri}")
        return cls(
            config.service_account_issuer,
            api_audiences(config),
            longest=int(longest),
            extend=config.service_account_extend_token_expiration,
            jwks_uri=uri or f"{config.service_account_issuer}/openid/v1/jwks",
        )


def issuers(config: ApiServerConfig) -> tuple[str, ...]:
    """Every issuer whose tokens are accepted; the first one's are issued."""
    return tuple(dict.fromkeys((config.service_account_issuer, *config.accepted_service_account_issuers)))


def api_audiences(config: ApiServerConfig) -> tuple[str, ...]:
    """What tokens call this server."""
    return tuple(config.api_audiences) or issuers(config)


class TokenIssuer:
    """Answers TokenRequests and OIDC discovery."""

    def __init__(self, *, key: SigningKey, keys: Keys, settings: IssuerSettings, lookup: Lookup, clock: Clock) -> None:
        self._key = key
        self._keys = keys
        self._settings = settings
        self._lookup = lookup
        self._clock = clock

    def request(self, namespace: str, name: str, body: Document, *, context: Context) -> Document:
        """POST serviceaccounts/<name>/token: the TokenRequest with its status. Raises ApiError."""
        uid = self._account(namespace, name, body.get("metadata") or {})
        spec = body.get("spec") or {}
        seconds = spec.get("expirationSeconds", _DEFAULT_SECONDS)
        if causes := _validate(seconds):
            raise invalid("TokenRequest", "", causes, group=_GROUP)
        audiences = list(spec.get("audiences") or self._settings.audiences)
        private: dict[str, Any] = {"namespace": namespace}
        reference = spec.get("boundObjectRef")
        if reference:
            private |= self._bind(reference, namespace=namespace, account=name)
        private["serviceaccount"] = {"name": name, "uid": uid}
        if 0 < self._settings.longest < seconds:
            context.warnings.append(
                f"requested expiration of {seconds} seconds shortened to {self._settings.longest} seconds"
            )
            seconds = self._settings.longest

        now = self._clock.now()
        issued = int(now.timestamp())
        stated = now + timedelta(seconds=seconds)
        ends = stated
        own = set(audiences) <= set(self._settings.audiences)
        if self._settings.extend and seconds == _KUBELET_SECONDS and "pod" in private and own:
            private["warnafter"] = int(stated.timestamp())
            ends = now + _EXTENDED
        identifier = str(uuid.uuid4())
        claims = {
            "aud": audiences,
            "exp": int(ends.timestamp()),
            "iat": issued,
            "iss": self._settings.issuer,
            "jti": identifier,
            CLAIMS: private,
            "nbf": issued,
            "sub": username(namespace, name),
        }
        context.annotations[_ISSUED] = f"JTI={identifier}"
        return {
            "kind": "TokenRequest",
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": timestamp(now)},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
            "status": {"token": self._key.sign(claims), "expirationTimestamp": timestamp(stated)},
        }

    def _account(self, namespace: str, name: str, meta: Document) -> str:
        """The account's UID, if what the request says of them is right."""
        if (meta.get("namespace") or namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if (given := meta.get("name") or name) != name:
            cause = invalid_value("metadata.name", given, "must match the service account name if specified")
            raise invalid("TokenRequest", name, [cause], group=_GROUP)
        account = self._lookup("", "serviceaccounts", namespace, name)
        if account is None:
            raise not_found("serviceaccounts", name)
        uid: str = account["metadata"]["uid"]
        if (given := meta.get("uid") or uid) != uid:
            detail = f"the UID in the token request ({given}) does not match the UID of the service account ({uid})"
            raise conflict("TokenRequest", name, detail, group=_GROUP)
        return uid

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
            "issuer": self._settings.issuer,
            "jwks_uri": self._settings.jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self._keys.algorithms,
        }

    def keys(self) -> Document:
        """GET /openid/v1/jwks: every public key that verifies tokens."""
        return {"keys": self._keys.published()}


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
