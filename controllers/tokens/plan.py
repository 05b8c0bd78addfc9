"""What is to be done about a Secret for a ServiceAccount's token.

Source: Kubernetes documentation, "Managing Service Accounts" (token controller).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k8slite.kinds.core import Secret, ServiceAccount

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
_CLAIMS = "kubernetes.io/serviceaccount/"


@dataclass(frozen=True, slots=True)
class Plan:
    """`delete` the Secret; `fill` it with these fields (plain, not base64), and with a token if `sign`; take it out of
    the account's list if `forget`."""

    delete: bool = False
    fill: Mapping[str, str] = field(default_factory=dict)
    sign: bool = False
    forget: bool = False


def plan(*, secret: Secret | None, name: str, account: ServiceAccount | None, authority: str) -> Plan:
    """What a Secret needs; None is one that is gone. `account` is the one of the name that it is for."""
    if secret is None:
        listed = account is not None and any(item.name == name for item in account.secrets)
        return Plan(forget=listed)
    if secret.type != TYPE or secret.deleting:
        return Plan()
    stated = secret.metadata.annotations.get(ACCOUNT_UID, "")
    if account is None or (stated and stated != account.uid):
        return Plan(delete=True)
    fill: dict[str, str] = {}
    if authority and secret.data.get("ca.crt") != encoded(authority):
        fill["ca.crt"] = authority
    if not secret.data.get("namespace"):
        fill["namespace"] = secret.namespace
    return Plan(fill=fill, sign=not secret.data.get("token"))


def claims(*, namespace: str, account: str, uid: str, secret: str) -> dict[str, Any]:
    """What such a token says, but for its issuer and subject."""
    return {
        f"{_CLAIMS}namespace": namespace,
        f"{_CLAIMS}secret.name": secret,
        f"{_CLAIMS}service-account.name": account,
        f"{_CLAIMS}service-account.uid": uid,
    }


def encoded(text: str) -> str:
    """Text as a Secret's `data` holds it."""
    return b64encode(text.encode()).decode()
