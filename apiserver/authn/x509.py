"""Client certificates: the common name is the user, the organizations are the groups, and there may be a UID.

TLS has verified the certificate before any request is read (`wire/tls.py`); what is left is to read it, once,
and to see at each request that it has not ended since, as connections live long. Where TLS also lets proxies in, whose
CA is another one, the client CA must have signed the certificate itself.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from k8slite.clock import Clock
from k8slite.config import ConfigError

from ..changing_files import ChangingFiles
from .base import CREDENTIAL_ID, Credentials, Refused, User, completed

_CACHED = 4096
_UID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")
_log = logging.getLogger(__name__)


class Issuers:
    """The certificates of a file, each of which may have signed a client's. They follow the file."""

    def __init__(self, path: Path) -> None:
        """Read a file (PEM). Raises ConfigError."""
        self._path = path
        self._files = ChangingFiles([path])
        self._certificates = _load(path)

    def changed(self) -> bool:
        """Whether there are others than at the last call: what was known of clients is to be worked out anew."""
        if not self._files.changed():
            return False
        try:
            self._certificates = _load(self._path)
        except ConfigError as error:
            _log.error("the issuers of certificates stay as they were: %s", error)
            return False
        return True

    def issued(self, certificate: x509.Certificate) -> bool:
        """Whether one of them signed that certificate."""
        for issuer in self._certificates:
            try:
                certificate.verify_directly_issued_by(issuer)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
        return False


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a certificate: its user (None without a common name), or why it is nobody's, and its time."""

    user: User | None
    problem: str
    begins: datetime
    ends: datetime


class CertificateAuthenticator:
    """Reads verified certificates; what it read is kept by a certificate's bytes.

    `issuers` are those of clients. With `others`, TLS also lets in whom somebody else has signed for, so the issuer is
    looked at; and so it is once the issuers have changed, for connections outlive those who signed for them. Whoever
    shows a certificate that nobody of these signed is not anonymous, but refused.
    """

    def __init__(self, *, clock: Clock, issuers: Issuers | None = None, others: bool = False) -> None:
        self._clock = clock
        self._issuers = issuers
        self._others = others
        self._read: dict[bytes, _Read] = {}

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The certificate's user; None without a certificate or a common name. Raises Refused."""
        if not credentials.certificate:
            return None
        if self._issuers is not None and self._issuers.changed():
            self._others = True
            self._read.clear()
        read = self._read.get(credentials.certificate)
        if read is None:
            read = self._parsed(credentials.certificate)
            if len(self._read) >= _CACHED:
                self._read.clear()
            self._read[credentials.certificate] = read
        if read.problem:
            raise Refused(read.problem)
        if not read.begins <= self._clock.now() <= read.ends:
            raise Refused("x509: certificate has expired or is not yet valid")
        return read.user

    def _parsed(self, der: bytes) -> _Read:
        certificate = x509.load_der_x509_certificate(der)
        user, problem = None, ""
        if self._others and self._issuers is not None and not self._issuers.issued(certificate):
            problem = "x509: certificate signed by unknown authority"
        else:
            user = _user(certificate, der)
        return _Read(user, problem, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _load(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not a certificate") from error


def common_names(certificate: x509.Certificate) -> list[str]:
    """The common names of a certificate's subject."""
    return [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _user(certificate: x509.Certificate, der: bytes) -> User | None:
    names = common_names(certificate)
    groups = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if not names or not names[-1]:
        return None
    credential = f"X509SHA256={hashlib.sha256(der).hexdigest()}"
    user = User(names[-1], uid=_uid(certificate), groups=tuple(groups), extra={CREDENTIAL_ID: (credential,)})
    return completed(user)


def _uid(certificate: x509.Certificate) -> str:
    """The user's UID, which a subject may have under a name of Kubernetes' own. Raises Refused."""
    found = [str(name.value) for name in certificate.subject.get_attributes_for_oid(_UID)]
    if len(found) > 1:
        raise Refused(f"expected 1 UID, but found multiple: {found}")
    if found == [""]:
        raise Refused("UID cannot be an empty string")
    return found[0] if found else ""
