"""`certificates.k8s.io/v1`: what asks for a certificate."""

from __future__ import annotations

from .base import Condition, Model, Object


class CertificateSigningRequestSpec(Model):
    """What is asked for, and who asks: the API server fills in the user. `request` is base64 of PEM."""

    request: str = ""
    signer_name: str = ""
    expiration_seconds: int | None = None
    usages: list[str] = []
    username: str = ""
    uid: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class CertificateSigningRequestStatus(Model):
    """What became of it. `certificate` is base64 of PEM."""

    conditions: list[Condition] = []
    certificate: str = ""


class CertificateSigningRequest(Object):
    """A request for a certificate."""

    spec: CertificateSigningRequestSpec = CertificateSigningRequestSpec()
    status: CertificateSigningRequestStatus = CertificateSigningRequestStatus()
