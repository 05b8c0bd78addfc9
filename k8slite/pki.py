"""The cluster's certificates: one authority, and the server and client certificates that it signs.

Everything here is idempotent: `Authority.ensure` loads or creates the authority, `issue_server` and `issue_client` keep
a certificate that is still good and replace one that is near its end, has other names, or belongs to another authority.
The authority itself never changes, so what trusts it goes on trusting it. Keys are elliptic (P-256): made and used in
well under a millisecond. Every file is written whole or not at all, and readable by its owner only.

Source: Kubernetes documentation, "PKI certificates and requirements"; RFC 5280.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .signing_requests import PublicKey, SigningRequest

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=120)
KUBELET_CLIENTS = "k8slite:kubelet-clients"
"""The group whose certificates kubelets serve. To the API server it is nobody: a node that says that it is found where
the API server is gets nothing for it."""
"""A certificate with less than this left is replaced."""
_KEY_USAGES = frozenset(
    {
        *("digital signature", "signing", "content commitment", "key encipherment", "data encipherment"),
        *("key agreement", "cert sign", "crl sign"),
    }
)
_PURPOSES = {
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}
_BACKDATED = timedelta(hours=1)
"""Certificates begin a little in the past, for nodes whose clocks lag."""
_REQUESTED_BACKDATED = timedelta(minutes=5)
_SHORT_LIVED = timedelta(hours=8)
"""A certificate for a request begins so much earlier; a long-lived one ends so much earlier too, as upstream has it."""


class PkiError(Exception):
    """A key or certificate file is missing, unreadable, or does not fit its pair."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where a certificate and its private key lie (PEM)."""

    cert_file: Path
    key_file: Path


class Authority:
    """A certificate authority whose certificate and key lie at `pair`."""

    def __init__(self, pair: KeyPair, *, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.pair = pair
        self._certificate = certificate
        self._key = key

    @property
    def cert_file(self) -> Path:
        """The authority's certificate: what clients and servers trust."""
        return self.pair.cert_file

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def create(
        cls, directory: Path, *, name: str = "ca", common_name: str = "k8slite-ca", now: datetime | None = None
    ) -> Authority:
        """Make a new authority in `directory` (`<name>.crt`, `<name>.key`), replacing one that is there."""
        return cls._create(_pair(directory, name), None, common_name=common_name, now=now)

    @classmethod
    def _create(
        cls, pair: KeyPair, key: ec.EllipticCurvePrivateKey | None, *, common_name: str, now: datetime | None
    ) -> Authority:
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        moment = now or datetime.now(UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            _builder(subject, subject, key.public_key(), begins=moment - _BACKDATED, ends=moment + AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(["digital signature", "cert sign", "crl sign"]), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        _write_pair(pair, certificate, key)
        return cls(pair, certificate=certificate, key=key)

    @classmethod
    def load(cls, directory: Path, *, name: str = "ca") -> Authority:
        """Read the authority in `directory`. Raises PkiError."""
        return cls.read(_pair(directory, name))

    @classmethod
    def read(cls, pair: KeyPair) -> Authority:
        """Read the authority whose files these are. Raises PkiError."""
        certificate, key = _read_pair(pair)
        if certificate.public_key() != key.public_key():
            raise PkiError(f"{pair.key_file} is not the key of {pair.cert_file}")
        return cls(pair, certificate=certificate, key=key)

    @classmethod
    def ensure(
        cls, directory: Path, *, name: str = "ca", common_name: str = "k8slite-ca", now: datetime | None = None
    ) -> Authority:
        """Load the authority, or create it if there is none. Raises PkiError for one whose key is lost.

        A key alone is what a crash leaves in the midst of a creation: it gets its certificate, under which all that
        the key may have signed is good.
        """
        pair = _pair(directory, name)
        if pair.cert_file.exists():
            return cls.load(directory, name=name)
        key = _read_key(pair.key_file) if pair.key_file.exists() else None
        return cls._create(pair, key, common_name=common_name, now=now)

    def issue_server(
        self,
        name: str,
        *,
        common_name: str,
        hosts: Sequence[str],
        directory: Path | None = None,
        now: datetime | None = None,
    ) -> KeyPair:
        """A server's certificate for `hosts` (IP addresses and DNS names), in `<name>.crt` and `<name>.key`."""
        alternatives = [_general_name(host) for host in dict.fromkeys(hosts)]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        return self._issue(
            _pair(directory or self.pair.cert_file.parent, name),
            subject=subject,
            purpose=ExtendedKeyUsageOID.SERVER_AUTH,
            alternatives=alternatives,
            now=now or datetime.now(UTC),
        )

    def issue_client(
        self,
        name: str,
        *,
        user: str,
        groups: Sequence[str] = (),
        directory: Path | None = None,
        now: datetime | None = None,
    ) -> KeyPair:
        """A client's certificate: `user` is the common name, `groups` the organizations."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        return self._issue(
            _pair(directory or self.pair.cert_file.parent, name),
            subject=x509.Name(attributes),
            purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
            alternatives=[],
            now=now or datetime.now(UTC),
        )

    def sign(self, request: SigningRequest, *, usages: Sequence[str], lifetime: timedelta, now: datetime) -> bytes:
        """The certificate (PEM) that somebody else's key asks for, with the subject and names of the request.

        `usages` are the API's words (`client auth`, `digital signature` …). It ends with the authority at the latest.

        Raises PkiError if the authority itself has ended.
        """
        begins = now - _REQUESTED_BACKDATED
        last = self._certificate.not_valid_after_utc
        ends = min((now if lifetime < _SHORT_LIVED else begins) + lifetime, last)
        if now >= last:
            raise PkiError("refusing to sign a certificate that expired in the past")
        builder = (
            _builder(request.subject, self._certificate.subject, request.key, begins=begins, ends=ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(self._identifier(), critical=False)
        )
        if set(usages) & _KEY_USAGES:  # an extension without any would forbid what the key is for
            builder = builder.add_extension(_key_usage(usages), critical=True)
        if purposes := [_PURPOSES[usage] for usage in usages if usage in _PURPOSES]:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if request.alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(request.alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        found = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)

    def _issue(
        self,
        pair: KeyPair,
        *,
        subject: x509.Name,
        purpose: x509.ObjectIdentifier,
        alternatives: list[x509.GeneralName],
        now: datetime,
    ) -> KeyPair:
        if self._is_good(pair, subject=subject, purpose=purpose, alternatives=alternatives, now=now):
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(
                subject,
                self._certificate.subject,
                key.public_key(),
                begins=now - _BACKDATED,
                ends=now + CERTIFICATE_LIFETIME,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(["digital signature"]), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        _write_pair(pair, builder.sign(self._key, hashes.SHA256()), key)
        return pair

    def _is_good(
        self,
        pair: KeyPair,
        *,
        subject: x509.Name,
        purpose: x509.ObjectIdentifier,
        alternatives: list[x509.GeneralName],
        now: datetime,
    ) -> bool:
        try:
            certificate, key = _read_pair(pair)
            certificate.verify_directly_issued_by(self._certificate)
        except (PkiError, ValueError, TypeError, InvalidSignature):
            return False
        return (
            certificate.public_key() == key.public_key()
            and certificate.subject == subject
            and purpose in _purposes(certificate)
            and _alternatives(certificate) == set(alternatives)
            and certificate.not_valid_before_utc <= now
            and certificate.not_valid_after_utc - now > RENEW_BEFORE
        )


def ensure_signing_key(path: Path) -> Path:
    """The private key (PEM) that signs service account tokens: kept if it is there, made (P-256) if not."""
    if not path.exists():
        write_private(path, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    return path


def _pair(directory: Path, name: str) -> KeyPair:
    return KeyPair(directory / f"{name}.crt", directory / f"{name}.key")


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, *, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _key_usage(usages: Sequence[str]) -> x509.KeyUsage:
    return x509.KeyUsage(
        # OpenSSL lets no client in whose key may not sign the handshake, Go does.
        digital_signature=bool({"digital signature", "signing", "client auth"} & set(usages)),
        content_commitment="content commitment" in usages,
        key_encipherment="key encipherment" in usages,
        data_encipherment="data encipherment" in usages,
        key_agreement="key agreement" in usages,
        key_cert_sign="cert sign" in usages,
        crl_sign="crl sign" in usages,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _purposes(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return set()


def _alternatives(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise PkiError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise PkiError(f"{path}: not a private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path}: not an elliptic-curve key")
    return key


def _read_pair(pair: KeyPair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(pair.cert_file.read_bytes())
    except OSError as error:
        raise PkiError(f"{pair.cert_file}: {error.strerror}") from error
    except ValueError as error:
        raise PkiError(f"{pair.cert_file}: not a certificate") from error
    return certificate, _read_key(pair.key_file)


def _write_pair(pair: KeyPair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    # A crash between the two leaves a key that does not fit; the next `issue_*` sees that and makes both anew.
    write_private(pair.key_file, _key_pem(key))
    write_private(pair.cert_file, certificate.public_bytes(serialization.Encoding.PEM))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step; its mode is 0600 from its first moment on. It outlives a loss of power."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        _sync(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _sync(directory: Path) -> None:
    """Make the names in a directory last: what is written under a key must not outlive the key."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
