"""What to do with a certificate request: approve it, sign it, call it failed, remove it. Pure.

Source: Kubernetes documentation, "Certificates and Certificate Signing Requests: Kubernetes signers"; kube-controller-
manager's approver, signer and cleaner.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from k8slite.kinds.certificates import CertificateSigningRequest
from k8slite.signing_requests import FAULTS, SigningRequest, Unreadable, read_encoded

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"

NODES = "system:nodes"
NODE_PREFIX = "system:node:"

PENDING_FOR = timedelta(hours=24)
ENDED_FOR = timedelta(hours=1)
"""How long a request is kept that nobody has decided on; and one that was approved, denied or failed."""
SHORTEST = timedelta(minutes=10)
"""No certificate is asked to live for less."""
_BASIC_USAGES = frozenset({"digital signature", "key encipherment"})
_NOT_OF_NODES = f"subject organization is not {NODES}"
_ALTERNATIVES: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.RFC822Name: "Email",
    x509.IPAddress: "IP",
    x509.UniformResourceIdentifier: "URI",
}


def read(found: CertificateSigningRequest) -> SigningRequest | None:
    """What is asked for; None for bytes that are no request."""
    try:
        return read_encoded(found.spec.request)
    except Unreadable:
        return None


def has(found: CertificateSigningRequest, kind: str) -> bool:
    """Whether a request has a condition."""
    return any(condition.type == kind for condition in found.status.conditions)


def _client(asked: SigningRequest, usages: frozenset[str]) -> str:
    if strange := sorted(usages - _BASIC_USAGES - {"client auth"}):
        return f"invalid usage for client certificate: {strange[0]}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def _kubelet_client(asked: SigningRequest, usages: frozenset[str]) -> str:
    if asked.organizations != (NODES,):
        return _NOT_OF_NODES
    return _strange_name(asked, _ALTERNATIVES) or _not_a_node(asked) or _usages(usages, "client auth")


def _kubelet_serving(asked: SigningRequest, usages: frozenset[str]) -> str:
    if asked.organizations != (NODES,):
        return _NOT_OF_NODES
    if not any(isinstance(name, x509.DNSName | x509.IPAddress) for name in asked.alternatives):
        return "DNS or IP subjectAltName is required"
    others = {kind: word for kind, word in _ALTERNATIVES.items() if word in ("Email", "URI")}
    return _strange_name(asked, others) or _usages(usages, "server auth") or _not_a_node(asked)


def _anything(asked: SigningRequest, usages: frozenset[str]) -> str:
    return ""


def _strange_name(asked: SigningRequest, kinds: Mapping[type[x509.GeneralName], str]) -> str:
    there = {type(name) for name in asked.alternatives}
    return next((f"{word} subjectAltNames are not allowed" for kind, word in kinds.items() if kind in there), "")


def _not_a_node(asked: SigningRequest) -> str:
    is_node = asked.common_name.startswith(NODE_PREFIX)
    return "" if is_node else f"subject common name does not begin with {NODE_PREFIX}"


def _usages(usages: frozenset[str], purpose: str) -> str:
    allowed = _BASIC_USAGES | {purpose}
    if allowed - {"key encipherment"} <= usages <= allowed:
        return ""
    return f"usages did not match [{' '.join(sorted(allowed))}]"


SIGNERS: dict[str, Callable[[SigningRequest, frozenset[str]], str]] = {
    CLIENT: _client,
    KUBELET_CLIENT: _kubelet_client,
    KUBELET_SERVING: _kubelet_serving,
    LEGACY_UNKNOWN: _anything,
}
"""What each signer of Kubernetes' own says against a request with its usages; nothing if it will sign it."""


def refusal(found: CertificateSigningRequest, asked: SigningRequest) -> str:
    """Why its signer will not sign a request; empty if it will."""
    return SIGNERS[found.spec.signer_name](asked, frozenset(found.spec.usages))


@dataclass(frozen=True, slots=True)
class Recognized:
    """A kubelet's request, and the permission that lets it be approved without an administrator."""

    subresource: str
    message: str


_OWN = Recognized("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.")
_FIRST = Recognized("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def recognize(found: CertificateSigningRequest, asked: SigningRequest) -> tuple[Recognized, ...]:
    """As what it may be approved: a kubelet's own next client certificate, or a node's first by whoever asks."""
    if found.spec.signer_name != KUBELET_CLIENT or refusal(found, asked):
        return ()
    return (_OWN, _FIRST) if found.spec.username == asked.common_name else (_FIRST,)


def wants_decision(found: CertificateSigningRequest) -> bool:
    """Whether nobody has approved or denied it, nor has it failed."""
    return not any(has(found, kind) for kind in ("Approved", "Denied", "Failed")) and not found.status.certificate


def wants_signature(found: CertificateSigningRequest) -> bool:
    """Whether it was approved, for a signer of ours, and nothing came of it yet."""
    decided = has(found, "Approved") and not has(found, "Denied") and not has(found, "Failed")
    return decided and not found.status.certificate and found.spec.signer_name in SIGNERS


def lifetime(found: CertificateSigningRequest, longest: timedelta) -> timedelta:
    """How long its certificate is to live: as was asked for, ten minutes at least, `longest` at most."""
    asked = found.spec.expiration_seconds
    return longest if asked is None else min(longest, max(SHORTEST, timedelta(seconds=asked)))


def removal(found: CertificateSigningRequest) -> datetime | None:
    """When the request may go: its certificate ended, it was decided an hour ago, or nobody cared for a day.

    None for one that was approved and waits for its certificate from a signer that is not ours.
    """
    times = [time for time in (_since(found, kind) for kind in ("Denied", "Failed")) if time is not None]
    approved = _since(found, "Approved")
    if approved is not None and found.status.certificate:
        times.append(approved)
    due = [time + ENDED_FOR for time in times]
    if (end := _end(found.status.certificate)) is not None:
        due.append(end)
    created = found.metadata.creation_timestamp
    if wants_decision(found) and created is not None:
        due.append(created + PENDING_FOR)
    return min(due, default=None)


def _since(found: CertificateSigningRequest, kind: str) -> datetime | None:
    for condition in found.status.conditions:
        if condition.type == kind:
            return condition.last_update_time or condition.last_transition_time
    return None


def _end(certificate: str) -> datetime | None:
    if not certificate:
        return None
    try:
        return x509.load_pem_x509_certificates(base64.b64decode(certificate))[0].not_valid_after_utc
    except FAULTS:
        return None
