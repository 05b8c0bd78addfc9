"""Users that an authenticating proxy names: only its own certificate makes its headers count."""

from __future__ import annotations

import ssl
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from k8slite.apiserver.authn.base import Credentials, User
from k8slite.apiserver.authn.chain import AUTHENTICATED, Chain
from k8slite.apiserver.authn.request_header import HeaderNames, RequestHeaderAuthenticator, user_of
from k8slite.apiserver.authn.x509 import CertificateAuthenticator, Issuers
from k8slite.clock import SystemClock
from k8slite.errors import ApiError
from k8slite.pki import CERTIFICATE_LIFETIME, Authority, KeyPair

NAMES = HeaderNames((b"x-remote-user",), (b"x-remote-uid",), (b"x-remote-group",), (b"x-remote-extra-",))
HEADERS = (
    (b"x-remote-user", b"jane"),
    (b"x-remote-uid", b"u1"),
    (b"x-remote-group", b"a"),
    (b"x-remote-group", b"b"),
    (b"x-remote-extra-example.com%2fscopes", b"read"),
    (b"x-remote-extra-example.com%2fscopes", b"write"),
)
JANE = User("jane", uid="u1", groups=("a", "b"), extra={"example.com/scopes": ("read", "write")})


def der(pair: KeyPair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.cert_file.read_text())


class Later(SystemClock):
    def now(self):  # type: ignore[no-untyped-def]
        return super().now() + CERTIFICATE_LIFETIME + timedelta(days=1)


Build = Callable[..., Chain]


@pytest.fixture
def proxies(tmp_path: Path) -> Authority:
    return Authority.ensure(tmp_path, name="front")


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    return Authority.ensure(tmp_path, name="ca")


@pytest.fixture
def build(proxies: Authority, clients: Authority) -> Build:
    def make(*, allowed: tuple[str, ...] = (), clock: SystemClock | None = None) -> Chain:
        clock = clock or SystemClock()
        front = RequestHeaderAuthenticator(Issuers(proxies.cert_file), allowed=allowed, headers=NAMES, clock=clock)
        users = CertificateAuthenticator(clock=clock, issuers=Issuers(clients.cert_file), others=True)
        return Chain(certificates=[front, users])

    return make


def test_headers_are_read_as_they_are_configured() -> None:
    assert user_of(HEADERS, NAMES) == JANE
    assert user_of(HEADERS[1:], NAMES) is None
    two = HeaderNames((b"x-a", b"x-remote-user"), (), (), ())
    assert user_of([(b"x-a", b""), *HEADERS], two) == User("jane")


async def test_a_proxy_names_its_user(build: Build, proxies: Authority) -> None:
    certificate = der(proxies.issue_client("proxy", user="front-proxy-client"))
    user = await build().authenticate(Credentials(certificate=certificate, headers=HEADERS))
    assert (user.name, user.uid, user.extra) == (JANE.name, JANE.uid, JANE.extra)
    assert user.groups == ("a", "b", AUTHENTICATED)


async def test_other_clients_name_nobody(build: Build, clients: Authority) -> None:
    certificate = der(clients.issue_client("joe", user="joe"))
    assert (await build().authenticate(Credentials(certificate=certificate, headers=HEADERS))).name == "joe"
    assert (await build().authenticate(Credentials(headers=HEADERS))).name == "system:anonymous"


async def test_only_allowed_proxies_are_believed(build: Build, proxies: Authority) -> None:
    good, bad = (der(proxies.issue_client(name, user=name)) for name in ("good", "bad"))
    chain = build(allowed=("good",))
    assert (await chain.authenticate(Credentials(certificate=good, headers=HEADERS))).name == "jane"
    with pytest.raises(ApiError) as caught:
        await chain.authenticate(Credentials(certificate=bad, headers=HEADERS))
    assert caught.value.code == 401


async def test_a_proxys_certificate_is_no_users(build: Build, proxies: Authority) -> None:
    """Nor does it make anybody anonymous: what is shown and means nothing is refused, as a bad token is."""
    certificate = der(proxies.issue_client("root", user="root", groups=["system:masters"]))
    chain = build()
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            await chain.authenticate(Credentials(certificate=certificate))
        assert caught.value.code == 401


async def test_users_of_a_proxy_fill_no_memory(build: Build, proxies: Authority) -> None:
    certificate, chain = der(proxies.issue_client("proxy", user="front-proxy-client")), build()
    await chain.authenticate(Credentials(certificate=certificate, headers=HEADERS))
    tracemalloc.start()
    try:
        for number in range(200):
            headers = [*HEADERS, (b"x-remote-extra-a", b"%d" % number * 20_000)]
            await chain.authenticate(Credentials(certificate=certificate, headers=headers))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 1 << 20


async def test_a_proxy_whose_certificate_has_ended_is_refused(build: Build, proxies: Authority) -> None:
    certificate = der(proxies.issue_client("proxy", user="front-proxy-client"))
    with pytest.raises(ApiError) as caught:
        await build(clock=Later()).authenticate(Credentials(certificate=certificate, headers=HEADERS))
    assert caught.value.code == 401


def test_a_bundle_may_hold_several_issuers(tmp_path: Path, proxies: Authority, clients: Authority) -> None:
    both = tmp_path / "both.crt"
    both.write_bytes(proxies.certificate_pem + clients.certificate_pem)
    issuers = Issuers(both)
    for authority in (proxies, clients):
        certificate = x509.load_der_x509_certificate(der(authority.issue_client("a", user="a")))
        assert issuers.issued(certificate)
    other = Authority.create(tmp_path, name="other")
    assert not issuers.issued(x509.load_der_x509_certificate(der(other.issue_client("o", user="a"))))
