"""What to do with a certificate request: approve it, sign it, call it failed, remove it. Pure.

Source: Kubernetes documentation, "Certificates and Certificate Signing Requests: Kubernetes signers"; kube-controller-
manager's approver, signer and cleaner.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID

from k8slite.kinds.certificates import CertificateSigningRequest

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"

NODES = "system:nodes"
NODE_PREFIX = "system:node:"

PENDING_FOR = timedelta(hours=24)
ENDED_FOR = timedelta(hours=1)
"""How long a request is kept that nobody has decided on; and one that was approved, denied or failed."""
_BASIC_USAGES = frozenset({"digital signature", "key encipherment"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the request inside a CertificateSigningRequest says."""

    request: x509.CertificateSigningRequest
    common_name: str
    organizations: tuple[str, ...]
    alternatives: tuple[x509.GeneralName, ...]


def read(found: CertificateSigningRequest) -> Asked | None:
    """What is asked for; None for bytes that are no request."""
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(found.spec.request))
        names = tuple(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = ()
    except (ValueError, TypeError, binascii.Error):
        return None
    common = [str(item.value) for item in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return Asked(request, common[-1] if common else "", tuple(str(item.value) for item in organizations), names)


def has(found: CertificateSigningRequest, kind: str) -> bool:
    """Whether a request has a condition."""
    return any(condition.type == kind for condition in found.status.conditions)


def _kubelet_client(asked: Asked) -> str:
    if asked.organizations != (NODES,):
        return "subject organization is not system:nodes"
    if not asked.common_name.startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node: "
    for kind, word in (
        (x509.DNSName, "DNS"),
        (x509.RFC822Name, "Email"),
        (x509.IPAddress, "IP"),
        (x509.UniformResourceIdentifier, "URI"),
    ):
        if any(isinstance(name, kind) for name in asked.alternatives):
            return f"{word} subjectAltNames are not allowed"
    return ""


def _kubelet_serving(asked: Asked) -> str:
    if asked.organizations != (NODES,):
        return "subject organization is not system:nodes"
    if not asked.common_name.startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node: "
    if not any(isinstance(name, x509.DNSName | x509.IPAddress) for name in asked.alternatives):
        return "DNS or IP subjectAltName is required"
    for kind, word in ((x509.RFC822Name, "Email"), (x509.UniformResourceIdentifier, "URI")):
        if any(isinstance(name, kind) for name in asked.alternatives):
            return f"{word} subjectAltNames are not allowed"
    return ""


@dataclass(frozen=True, slots=True)
class Signer:
    """What a signer of Kubernetes' own asks of a request."""

    judge: Callable[[Asked], str]
    needed: frozenset[str]
    allowed: frozenset[str]


SIGNERS: dict[str, Signer] = {
    CLIENT: Signer(lambda asked: "", frozenset({"client auth"}), _BASIC_USAGES | {"client auth"}),
    KUBELET_CLIENT: Signer(
        _kubelet_client, frozenset({"client auth", "digital signature"}), _BASIC_USAGES | {"client auth"}
    ),
    KUBELET_SERVING: Signer(
        _kubelet_serving, frozenset({"server auth", "digital signature"}), _BASIC_USAGES | {"server auth"}
    ),
}


def refusal(found: CertificateSigningRequest, asked: Asked) -> str:
    """Why its signer will not sign a request; empty if it will."""
    signer, usages = SIGNERS[found.spec.signer_name], frozenset(found.spec.usages)
    if problem := signer.judge(asked):
        return problem
    if not signer.needed <= usages <= signer.allowed:
        return f"usages did not match {sorted(signer.allowed)}"
    return ""


@dataclass(frozen=True, slots=True)
class Recognized:
    """A kubelet's request, and the permission that lets it be approved without an administrator."""

    subresource: str
    message: str


_OWN = Recognized("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.")
_FIRST = Recognized("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def recognize(found: CertificateSigningRequest, asked: Asked) -> Recognized | None:
    """Whether a kubelet asks for its own next client certificate, or somebody for a node's first."""
    if found.spec.signer_name != KUBELET_CLIENT or refusal(found, asked):
        return None
    return _OWN if found.spec.username == asked.common_name else _FIRST


def wants_decision(found: CertificateSigningRequest) -> bool:
    """Whether nobody has approved or denied it, nor has it failed."""
    return not any(has(found, kind) for kind in ("Approved", "Denied", "Failed")) and not found.status.certificate


def wants_signature(found: CertificateSigningRequest) -> bool:
    """Whether it was approved, for a signer of ours, and nothing came of it yet."""
    decided = has(found, "Approved") and not has(found, "Denied") and not has(found, "Failed")
    return decided and not found.status.certificate and found.spec.signer_name in SIGNERS


def lifetime(found: CertificateSigningRequest, longest: timedelta) -> timedelta:
    """How long its certificate is to live."""
    asked = found.spec.expiration_seconds
    return longest if asked is None else min(longest, timedelta(seconds=asked))


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
            return condition.last_update_time or condition.last_transition_time or datetime.max.replace(tzinfo=UTC)
    return None


def _end(certificate: str) -> datetime | None:
    if not certificate:
        return None
    try:
        return x509.load_pem_x509_certificates(base64.b64decode(certificate))[0].not_valid_after_utc
    except (ValueError, binascii.Error):
        return None
