"""Client certificates: the common name is the user, the organizations are the groups.

TLS has verified the certificate against the client CA before any request is read (`server.tls_context`); what is left
is to read it, once, and to see at each request that it has not ended since, as connections live long.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from k8slite.clock import Clock
from k8slite.errors import unauthorized

from .base import CREDENTIAL_ID, Credentials, User

_CACHED = 4096


class CertificateAuthenticator:
    """Reads verified certificates; what it read is kept by the certificate's bytes."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._read: dict[bytes, tuple[User | None, datetime, datetime]] = {}

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The certificate's user; None without a certificate or a common name."""
        if not credentials.certificate:
            return None
        entry = self._read.get(credentials.certificate)
        if entry is None:
            entry = _read(credentials.certificate)
            if len(self._read) >= _CACHED:
                self._read.clear()
            self._read[credentials.certificate] = entry
        user, begins, ends = entry
        if not begins <= self._clock.now() <= ends:
            raise unauthorized()
        return user


def _read(der: bytes) -> tuple[User | None, datetime, datetime]:
    certificate = x509.load_der_x509_certificate(der)
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    user = None
    if names and names[-1]:
        credential = f"X509SHA256={hashlib.sha256(der).hexdigest()}"
        user = User(names[-1], groups=tuple(groups), extra={CREDENTIAL_ID: (credential,)})
    return user, certificate.not_valid_before_utc, certificate.not_valid_after_utc
