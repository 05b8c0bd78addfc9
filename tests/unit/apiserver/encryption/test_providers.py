"""Each way to encrypt: Kubernetes' layout, and what is refused."""

from __future__ import annotations

import base64

import nacl.secret
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from k8slite.apiserver.storage.encryption.configuration import parse
from k8slite.apiserver.storage.encryption.providers import AesCbc, AesGcm, Provider, SecretBox, Unreadable
from k8slite.apiserver.storage.encryption.table import Providers, Table
from k8slite.config import ConfigError

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
PLACE = b"/core/secrets/default/a"
DOCUMENT = b'{"kind":"Secret","metadata":{"resourceVersion":"","name":"a","namespace":"default"}}'
MADE = [
    AesGcm("key1", KEY),
    AesGcm("key1", KEY[:16]),
    AesCbc("key1", KEY),
    AesCbc("key1", KEY[:24]),
    SecretBox("key1", KEY),
]


def as_kubernetes_writes(provider: Provider) -> bytes:
    """The same value by the libraries alone."""
    if isinstance(provider, AesGcm):
        return b"k8s:enc:aesgcm:v1:key1:" + KEY[:12] + AESGCM(KEY).encrypt(KEY[:12], DOCUMENT, PLACE)
    if isinstance(provider, SecretBox):
        return b"k8s:enc:secretbox:v1:key1:" + nacl.secret.SecretBox(KEY).encrypt(DOCUMENT, KEY[:24])
    count = 16 - len(DOCUMENT) % 16
    encryptor = Cipher(AES(KEY), CBC(KEY[:16])).encryptor()
    padded = DOCUMENT + bytes([count]) * count
    return b"k8s:enc:aescbc:v1:key1:" + KEY[:16] + encryptor.update(padded) + encryptor.finalize()


@pytest.mark.parametrize("provider", [MADE[0], MADE[2], MADE[4]], ids=lambda p: type(p).__name__)
def test_what_kubernetes_writes_is_read(provider: Provider) -> None:
    value = as_kubernetes_writes(provider)
    assert value.startswith(provider.prefix)
    assert provider.decrypt(value, PLACE) == (DOCUMENT, provider.form)


@pytest.mark.parametrize("provider", MADE, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000, 100_000])
def test_what_is_written_is_read_and_never_looks_the_same(provider: Provider, size: int) -> None:
    plain = bytes(size)
    first, second = provider.encrypt(plain, PLACE), provider.encrypt(plain, PLACE)
    assert first != second
    assert provider.decrypt(first, PLACE)[0] == provider.decrypt(second, PLACE)[0] == plain
    assert size < 8 or bytes(8) not in first


@pytest.mark.parametrize("provider", MADE, ids=lambda p: type(p).__name__)
def test_what_was_tampered_with_is_not_read(provider: Provider) -> None:
    readers = Providers([provider])
    value = provider.encrypt(DOCUMENT, PLACE)
    for index in range(len(provider.prefix), len(value)):
        for bit in (1, 128):
            broken = value[:index] + bytes([value[index] ^ bit]) + value[index + 1 :]
            if isinstance(provider, AesCbc):  # nothing but its form protects it: never another object's, at least
                try:
                    assert readers.decrypt(broken, PLACE)[0] != DOCUMENT
                except Unreadable:
                    continue
            else:
                with pytest.raises(Unreadable):
                    readers.decrypt(broken, PLACE)
    for size in range(len(provider.prefix), len(value)):
        with pytest.raises(Unreadable):
            readers.decrypt(value[:size], PLACE)


@pytest.mark.parametrize("provider", MADE, ids=lambda p: type(p).__name__)
def test_a_value_is_good_for_its_own_place_only(provider: Provider) -> None:
    readers = Providers([provider])
    value = provider.encrypt(DOCUMENT, PLACE)
    assert readers.decrypt(value, PLACE)[0] == DOCUMENT
    for place in (b"/core/secrets/default/b", b"/core/secrets/other/a"):
        with pytest.raises(Unreadable):
            readers.decrypt(value, place)


@pytest.mark.parametrize("kind", [AesGcm, AesCbc, SecretBox])
def test_another_key_of_the_same_name_reads_nothing(kind: type[AesGcm]) -> None:
    right, wrong = kind("key1", KEY), kind("key1", OTHER)
    value = right.encrypt(DOCUMENT, PLACE)
    with pytest.raises(Unreadable):
        Providers([wrong]).decrypt(value, PLACE)
    assert Providers([wrong, right]).decrypt(value, PLACE)[0] == DOCUMENT


# --- the file


def text(providers: str = "{identity: {}}", *, resources: str = "[secrets]") -> str:
    return (
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n"
        f"resources:\n- resources: {resources}\n  providers: [{providers}]\n"
    )


def key(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def keyed(provider: str, octets: bytes) -> str:
    return f"{{{provider}: {{keys: [{{name: a, secret: {key(octets)}}}]}}}}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "valid dictionary"),
        ("{", "no YAML"),
        ("apiVersion: v1\nkind: EncryptionConfiguration\nresources: []", "apiVersion"),
        (text(resources="[]"), "at least 1 item"),
        (text(""), "at least 1 item"),
        (text("{}"), "exactly one provider"),
        (text("{identity: {}, " + keyed("aescbc", KEY)[1:]), "exactly one provider"),
        (text("{rot13: {}}"), "rot13"),
        (text("{aescbc: {keys: []}}"), "at least 1 item"),
        (text("{aescbc: {keys: [{name: '', secret: x}]}}"), "name"),
        (text("{aesgcm: {keys: [{name: a, secret: 'not base64!'}]}}"), "must be base64 encoded"),
        (text(keyed("aesgcm", b"x" * 20)), "got 20, expected one of [16 24 32]"),
        (text(keyed("secretbox", b"x" * 16)), "got 16, expected one of [32]"),
        (text("{kms: {apiVersion: v1, name: a, endpoint: 'unix:///x'}}"), "apiVersion"),
        (text("{kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///x'}}"), "kms.name"),
        (text("{kms: {apiVersion: v2, name: a, endpoint: 'tcp://x'}}"), "endpoint"),
        (text("{kms: {apiVersion: v2, name: a, endpoint: 'unix:///x', timeout: soon}}"), "duration"),
        (
            text(", ".join(["{kms: {apiVersion: v2, name: a, endpoint: 'unix:///x'}}"] * 2)),
            "duplicate KMS provider name a",
        ),
        (text(resources="[Secrets]"), "capital letters"),
        (text(resources="['*']"), "use '*.'"),
        (text(resources="[secrets, secrets.]"), "multiple times"),
        (text(resources="[secrets, '*.']"), "overlapping"),
        (text(resources="[deployments.apps, '*.apps']"), "overlapping"),
        (text(resources="[secrets, '*.*']"), "overlapping"),
        (text(resources="['secrets.*']"), "across groups"),
        (text(resources="[ingresses.extensions]"), "has been removed"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(content: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(content, origin="encryption.yaml")
    assert problem in str(caught.value)
    assert "encryption.yaml" in str(caught.value)


@pytest.mark.parametrize("secret", [key(b"not-the-right-size-4711"), "no base64 but secret"])
def test_no_message_holds_a_key(secret: str) -> None:
    for provider in (
        "{aesgcm: {keys: [{name: a, secret: '%s', more: 1}]}}",
        "{aesgcm: {keys: [{name: a, secret: ['%s']}]}}",
        "{aesgcm: {keys: [{name: a, secret: '%s'}]}}",
        "{aesgcm: {keys: [{name: a, secret: '%s}]}}",
    ):
        with pytest.raises(ConfigError) as caught:
            parse(text(provider % secret), origin="x")
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("resources", "encrypted", "plain"),
    [
        ("[secrets]", ["/core/secrets/a/b"], ["/core/configmaps/a/b", "/apps/secrets/a/b", "/core/secretsx/a/b"]),
        ("[secrets.]", ["/core/secrets/a/b"], ["/core/configmaps/a/b"]),
        ("[deployments.apps]", ["/apps/deployments/a/b"], ["/apps/daemonsets/a/b", "/core/deployments/a/b"]),
        ("['*.']", ["/core/secrets/a/b", "/core/nodes/b"], ["/apps/deployments/a/b"]),
        ("['*.apps']", ["/apps/deployments/a/b"], ["/core/secrets/a/b", "/example.apps/x/b"]),
        ("['*.*']", ["/core/secrets/a/b", "/example.com/foos/a/b"], []),
        ("[foos.example.com]", ["/example.com/foos/a/b"], ["/com/foos/a/b"]),
    ],
)
def test_resources_are_named_as_kubernetes_names_them(resources: str, encrypted: list[str], plain: list[str]) -> None:
    provider = keyed("aesgcm", KEY) + ", {identity: {}}"
    table = Table(parse(text(provider, resources=resources), origin="x"), known={})
    assert [table.of(name).encrypts for name in encrypted] == [True] * len(encrypted)
    assert [table.of(name).encrypts for name in plain] == [False] * len(plain)


def test_the_first_entry_that_names_a_resource_counts() -> None:
    both = text("{identity: {}}") + text(keyed("aescbc", KEY), resources="['*.*']").partition("resources:\n")[2]
    table = Table(parse(both, origin="x"), known={})
    assert not table.of("/core/secrets/a/b").encrypts
    assert table.of("/core/pods/a/b").encrypts


@pytest.mark.parametrize(("given", "seconds"), [("3s", 3), ("500ms", 0.5), ("1m30s", 90)])
def test_timeouts_are_durations(given: str, seconds: float) -> None:
    found = parse(text(f"{{kms: {{apiVersion: v2, name: a, endpoint: 'unix:///x', timeout: {given}}}}}"), origin="x")
    assert found.resources[0].providers[0].kms is not None
    assert found.resources[0].providers[0].kms.timeout == seconds
