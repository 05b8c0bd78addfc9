"""Which providers a key's value goes through: the configuration as a look-up by the beginning of the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from .configuration import EncryptionConfiguration, Entry, Kms
from .kms import KmsProvider
from .providers import MAGIC, AesCbc, AesGcm, Identity, Provider, SecretBox, Unreadable

IDENTITY = Identity()


class Providers:
    """The providers of a resource: the first writes, all read."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self.writer = providers[0]
        self.readers = tuple(providers)
        self.encrypts = bool(self.writer.prefix)
        """Whether what is written is encrypted."""

    @property
    def strict(self) -> bool:
        """Whether what is not encrypted is refused."""
        return all(provider.prefix for provider in self.readers)

    def decrypt(self, value: bytes, place: bytes) -> tuple[bytes, bytes]:
        """A value in plain, and its form. Raises Unreadable."""
        encrypted = value.startswith(MAGIC)
        problem: Unreadable | None = None
        for provider in self.readers:
            if not provider.prefix and not encrypted:
                return value, b""
            if provider.prefix and value.startswith(provider.prefix):
                try:
                    plain, form = provider.decrypt(value, place)
                    if provider.bound or _belongs(plain, place):
                        return plain, form
                    problem = Unreadable("it was not written for this place")
                except Unreadable as error:
                    problem = error
        raise problem or Unreadable(_unknown(value))


def _belongs(plain: bytes, place: bytes) -> bool:
    """Whether a document is that of its key: name and namespace, as far as it has them."""
    try:
        metadata = orjson.loads(plain)["metadata"]
        name, namespace = metadata.get("name"), metadata.get("namespace")
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    _, _, _, *scope, last = place.decode().split("/")
    return name in (None, last) and (not scope or namespace in (None, scope[0]))


def _unknown(value: bytes) -> str:
    if not value.startswith(MAGIC):
        return "it is not encrypted, and the encryption configuration has no identity provider for it"
    name = b":".join(value[:200].split(b":")[:5]).decode("utf-8", "replace")
    return f"no provider of the encryption configuration reads {name}:"


PLAIN = Providers([IDENTITY])


class Table:
    """The providers of every resource. `known` are plugins that run already, by name and endpoint."""

    def __init__(self, configuration: EncryptionConfiguration | None, *, known: Mapping[Kms, KmsProvider]) -> None:
        self.plugins: dict[Kms, KmsProvider] = {}
        self._rows = []
        for row in configuration.resources if configuration is not None else ():
            providers: list[Provider] = []
            for entry in row.providers:
                providers += self._providers(entry, known)
            self._rows.append((row, Providers(providers)))
        self._found: dict[str, Providers] = {}
        self.strict = any(providers.strict for _, providers in self._rows)
        """Whether some resource may not be stored in plain."""

    def _providers(self, entry: Entry, known: Mapping[Kms, KmsProvider]) -> list[Provider]:
        if entry.kms is not None:
            plugin = self.plugins[entry.kms] = known.get(entry.kms) or KmsProvider(entry.kms)
            return [plugin]
        found: list[Provider] = [AesGcm(key.name, key.octets) for key in (entry.aesgcm.keys if entry.aesgcm else ())]
        found += [AesCbc(key.name, key.octets) for key in (entry.aescbc.keys if entry.aescbc else ())]
        found += [SecretBox(key.name, key.octets) for key in (entry.secretbox.keys if entry.secretbox else ())]
        return found or [IDENTITY]

    def of(self, key: str) -> Providers:
        """The providers of a key, `/<group>/<plural>/…`."""
        prefix = key[: key.find("/", key.find("/", 1) + 1)]
        found = self._found.get(prefix)
        if found is None:
            found = self._found[prefix] = self._find(prefix)
        return found

    def _find(self, prefix: str) -> Providers:
        _, group, plural = prefix.split("/")
        group = "" if group == "core" else group
        return next((providers for row, providers in self._rows if row.names(group, plural)), PLAIN)

    def reads(self, form: bytes) -> bool:
        """Whether some provider has the key of values of a form."""
        return any(provider.has(form) for _, providers in self._rows for provider in providers.readers)
