"""Rules of `certificates.k8s.io`: certificate signing requests and bundles of trust.

Source: Kubernetes' certificates validation; core validation (ValidateSignerName).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required, too_long

from . import names
from .sequences import repeats
from .values import at, choice, needed, unchanged

Document = dict[str, Any]

SIGNED_ONCE = ("Approved", "Denied")
_TERMINAL = (*SIGNED_ONCE, "Failed")
_STATUSES = ("False", "True", "Unknown")
_USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_SHORTEST = 600
_LONGEST_SIGNER = 571
_LARGEST_BUNDLE = 1 << 20
_OMITTED = "<value omitted>"
_blocks = re.compile(r"-----BEGIN ([^-\n]+)-----\s*\n(.*?)-----END \1-----", re.DOTALL).findall


def signer_name(value: str, field: str) -> list[Cause]:
    """`domain/path`, as `kubernetes.io/kubelet-serving`."""
    if not value:
        return [required(field)]
    segments = value.split("/")
    if len(segments) != 2:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid_value(field, value, detail)]
    domain, path = segments
    causes = []
    if problem := names.dns_subdomain(domain):
        causes.append(invalid_value(field, domain, f'validating label "{domain}": {problem}'))
    if "." not in domain:
        causes.append(invalid_value(field, value, "should be a domain with at least two segments separated by dots"))
    if problem := names.dns_subdomain(path):
        causes.append(invalid_value(field, path, f'validating label "{path}": {problem}'))
    if len(value) > _LONGEST_SIGNER:
        causes.append(too_long(field, _LONGEST_SIGNER))
    return causes


def signing_request(obj: Document) -> list[Cause]:
    """What is wrong with a CertificateSigningRequest."""
    spec, usages = obj.get("spec") or {}, (obj.get("spec") or {}).get("usages") or []
    causes: list[Cause] = []
    if problem := _request_problem(spec.get("request") or ""):
        causes.append(invalid_value("spec.request", spec.get("request") or "", problem))
    causes += needed(usages, "spec.usages")
    for index, usage in enumerate(usages):
        causes += choice(usage, f"spec.usages[{index}]", _USAGES)
    causes += [duplicate(f"spec.usages[{index}]", usages[index]) for index in repeats(usages)]
    signer, seconds = spec.get("signerName") or "", spec.get("expirationSeconds")
    if signer == "kubernetes.io/legacy-unknown":
        detail = "the legacy signerName is not allowed via this API version"
        causes.append(invalid_value("spec.signerName", signer, detail))
    else:
        causes += signer_name(signer, "spec.signerName")
    if seconds is not None and seconds < _SHORTEST:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        causes.append(invalid_value("spec.expirationSeconds", seconds, detail))
    return causes + _conditions((obj.get("status") or {}).get("conditions") or [])


def _request_problem(encoded: str) -> str | None:
    """Why bytes are no signed PEM request."""
    from k8slite.signing_requests import Unreadable, read_encoded

    try:
        read_encoded(encoded)
    except Unreadable as error:
        return str(error)
    return None


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode("ascii", "replace")
    except (binascii.Error, ValueError):
        return ""


def _conditions(conditions: list[Document]) -> list[Cause]:
    causes: list[Cause] = []
    seen: list[str] = []
    for index, condition in enumerate(conditions):
        field = f"status.conditions[{index}]"
        kind, status = condition.get("type") or "", condition.get("status")
        causes += needed(kind, f"{field}.type")
        allowed = ("True",) if kind in _TERMINAL else _STATUSES
        if status not in allowed:
            here = f"{field}.status"
            causes.append(not_supported(here, status, allowed) if status else required(here))
        if kind in SIGNED_ONCE and ({*SIGNED_ONCE} - {kind}) & {*seen}:
            detail = "Approved and Denied conditions are mutually exclusive"
            causes.append(invalid_value(f"{field}.type", kind, detail))
        if kind in seen:
            causes.append(duplicate(f"{field}.type", kind))
        seen.append(kind)
    return causes


def signing_request_update(new: Document, old: Document) -> list[Cause]:
    """What may not be taken back of a request's status."""
    field = "status.conditions"
    after, before = (
        [c.get("type") for c in at(obj, "status.conditions") or () if c.get("type") in _TERMINAL] for obj in (new, old)
    )
    causes = [
        forbidden_field(field, f'updates may not remove a condition of type "{kind}"')
        for kind in _TERMINAL
        if after.count(kind) < before.count(kind)
    ]
    given, known = at(new, "status.certificate") or "", at(old, "status.certificate") or ""
    if given == known:
        return causes
    if known:
        return [*causes, forbidden_field("status.certificate", "updates may not modify existing certificate content")]
    if problem := _certificate_problem(given):
        causes.append(invalid_value("status.certificate", "<certificate data>", problem))
    return causes


def signing_request_decisions(new: Document, old: Document) -> list[Cause]:
    """What an endpoint other than `approval` says of approval and denial, which it may not."""
    causes = []
    for kind in ("Approved", "Denied"):
        are, were = ([c for c in at(obj, "status.conditions") or () if c.get("type") == kind] for obj in (new, old))
        if len(are) > len(were):
            detail = f'updates may not add a condition of type "{kind}"'
            causes.append(forbidden_field("status.conditions", detail))
    return causes


def _certificate_problem(encoded: str) -> str | None:
    from cryptography import x509

    from k8slite.signing_requests import FAULTS

    found = _blocks(_decoded(encoded))
    for kind, body in found:
        if kind != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'
        if ":" in body:
            return "no PEM block headers are permitted"
        try:
            x509.load_der_x509_certificate(base64.b64decode(body))
        except FAULTS as error:
            return f"x509: malformed certificate: {error}"
    return None if found else "must contain at least one CERTIFICATE PEM block"


def trust_bundle(obj: Document) -> list[Cause]:
    """What is wrong with a ClusterTrustBundle: its name says its signer."""
    name, signer = obj["metadata"].get("name") or "", (obj.get("spec") or {}).get("signerName") or ""
    causes: list[Cause] = []
    prefix = signer.replace("/", ":") + ":"
    if not signer and ":" in name:
        detail = 'ClusterTrustBundle without signer name must not have ":" in its name'
        causes.append(invalid_value("metadata.name", name, detail))
    elif signer and not name.startswith(prefix):
        detail = f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"
        causes.append(invalid_value("metadata.name", name, detail))
    elif problem := names.dns_subdomain(name.removeprefix(prefix) if signer else name):
        causes.append(invalid_value("metadata.name", name, problem))
    return causes + (signer_name(signer, "spec.signerName") if signer else [])


def trust_anchors(obj: Document) -> list[Cause]:
    """What is wrong with a bundle's content: certificates of authorities, each once."""
    from cryptography import x509

    from k8slite.signing_requests import FAULTS

    field, text = "spec.trustBundle", (obj.get("spec") or {}).get("trustBundle") or ""
    if len(text) > _LARGEST_BUNDLE:
        return [too_long(field, _LARGEST_BUNDLE)]
    problems: list[str] = []
    anchors: dict[str, list[int]] = {}
    for index, (kind, body) in enumerate(_blocks(text)):
        if kind != "CERTIFICATE":
            problems.append(f"entry {index} has bad block type: {kind}")
        elif ":" in body:
            problems.append(f"entry {index} has PEM block headers")
        else:
            try:
                certificate = x509.load_der_x509_certificate(base64.b64decode(body))
            except FAULTS:
                problems.append(f"entry {index} does not parse as X.509")
                continue
            if not _is_authority(certificate):
                problems.append(f"entry {index} does not have the CA bit set")
            anchors.setdefault("".join(body.split()), []).append(index)
    if not problems:
        twice = [places for places in anchors.values() if len(places) > 1]
        problems = [f"duplicate trust anchor (indices [{' '.join(map(str, places))}])" for places in twice]
        if not anchors:
            problems = ["at least one trust anchor must be provided"]
    return [invalid_value(field, _OMITTED, problem) for problem in problems]


def _is_authority(certificate: Any) -> bool:
    from cryptography import x509

    from k8slite.signing_requests import FAULTS

    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, *FAULTS):
        return False


def trust_bundle_update(new: Document, old: Document) -> list[Cause]:
    """A bundle is for ever of one signer; its content is read again only when it changes."""
    same = at(new, "spec.trustBundle") == at(old, "spec.trustBundle")
    return unchanged(new, old, "spec.signerName") + ([] if same else trust_anchors(new))


def pod_certificate_request(obj: Document) -> list[Cause]:
    """What is wrong with a PodCertificateRequest."""
    spec = obj.get("spec") or {}
    causes = signer_name(spec.get("signerName") or "", "spec.signerName")
    for name in ("podName", "serviceAccountName", "nodeName"):
        if problem := names.dns_subdomain(spec.get(name) or ""):
            causes.append(invalid_value(f"spec.{name}", spec.get(name) or "", problem))
    for name in ("podUID", "serviceAccountUID", "nodeUID"):
        causes += needed(spec.get(name), f"spec.{name}", "must not be empty")
    seconds, field = spec.get("maxExpirationSeconds"), "spec.maxExpirationSeconds"
    if (seconds is not None and seconds < 3600) or (seconds is not None and seconds > 7_862_400):
        causes.append(invalid_value(field, seconds, "must be in the range [3600, 7862400]"))
    return causes


def pod_certificate_request_update(new: Document, old: Document) -> list[Cause]:
    """What was asked for is for ever."""
    return unchanged(new, old, "spec")
