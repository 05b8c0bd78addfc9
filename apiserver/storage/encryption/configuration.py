"""The EncryptionConfiguration file: which resources are encrypted, by which providers.

Of the providers of a resource the first writes, all read. The first entry that names a resource is its own.

Source: Kubernetes' apiserver, apis/apiserver/v1 (types_encryption.go) and apis/apiserver/validation.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from k8slite.config import ConfigError

_VERSIONS = ("apiserver.config.k8s.io/v1", "v1")
_AES = (16, 24, 32)
_BOX = (32,)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NOT_REST = frozenset({"apiserveripinfo", "serviceipallocations", "servicenodeportallocations"})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Key(_Model):
    """A key with its name; the name stands at the beginning of each value."""

    name: str = Field(min_length=1)
    secret: str = Field(min_length=1, repr=False)

    @property
    def octets(self) -> bytes:
        """The key itself. Raises ValueError if it is no base64."""
        return base64.b64decode(self.secret, validate=True)


class Keys(_Model):
    """The keys of one way to encrypt."""

    keys: list[Key] = Field(min_length=1)


class Nothing(_Model):
    """No settings."""


class Kms(_Model):
    """A plugin that holds the keys."""

    apiVersion: Literal["v2"]  # noqa: N815 - the file's own name
    name: str = Field(min_length=1, pattern="^[^:]+$")
    endpoint: str = Field(pattern="^unix://.+")
    timeout: float = Field(default=3.0, gt=0)

    @field_validator("timeout", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> Any:
        if isinstance(value, str):
            parts = re.findall(r"([0-9.]+)(ms|s|m|h)", value)
            if not parts or "".join(map("".join, parts)) != value:
                raise ValueError("must be a duration, as 3s")
            return sum(float(number) * _SECONDS[unit] for number, unit in parts)
        return value


class Entry(_Model):
    """One provider: exactly one of these."""

    identity: Nothing | None = None
    aescbc: Keys | None = None
    aesgcm: Keys | None = None
    secretbox: Keys | None = None
    kms: Kms | None = None

    @field_validator("identity", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value


class Resources(_Model):
    """Some resources and their providers."""

    resources: list[str] = Field(min_length=1)
    providers: list[Entry] = Field(min_length=1)

    def names(self, group: str, plural: str) -> bool:
        """Whether these resources are among them; the core group is empty."""
        wanted = {"*.*", f"*.{group}", f"{plural}.{group}"}
        return any(name in wanted or (not group and name == plural) for name in self.resources)


class EncryptionConfiguration(_Model):
    """The file."""

    apiVersion: Literal["apiserver.config.k8s.io/v1"]  # noqa: N815 - the file's own name
    kind: Literal["EncryptionConfiguration"]
    resources: list[Resources] = Field(min_length=1)


def load(path: Path) -> EncryptionConfiguration:
    """Read and check a file, YAML or JSON. Raises ConfigError; no message holds a key."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigError(f"encryption configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"encryption configuration {path}: no UTF-8 text") from None
    return parse(text, origin=str(path))


def parse(text: str, *, origin: str) -> EncryptionConfiguration:
    """Read and check a text that came from `origin`. Raises ConfigError; no message holds a key."""
    try:
        found = EncryptionConfiguration.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"encryption configuration {origin}: no YAML{where}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError(f"encryption configuration {origin}: {problems}") from None
    except ValueError:  # a date that is none, where YAML sees one
        raise ConfigError(f"encryption configuration {origin}: no YAML") from None
    if problems := "; ".join(_problems(found)):
        raise ConfigError(f"encryption configuration {origin}: {problems}")
    return found


def _problems(configuration: EncryptionConfiguration) -> Iterator[str]:
    plugins: set[str] = set()
    for index, row in enumerate(configuration.resources):
        place = f"resources[{index}]"
        yield from (f"{place}.resources: {problem}" for problem in _name_problems(row.resources))
        for position, entry in enumerate(row.providers):
            here = f"{place}.providers[{position}]"
            given = [name for name in Entry.model_fields if getattr(entry, name) is not None]
            if len(given) != 1:
                yield f"{here}: exactly one provider must be specified in a single element"
            for keys, sizes in ((entry.aescbc, _AES), (entry.aesgcm, _AES), (entry.secretbox, _BOX)):
                yield from (f"{here}.{problem}" for problem in _key_problems(keys.keys if keys else (), sizes))
            if entry.kms is not None:
                if entry.kms.name in plugins:
                    yield f"{here}.kms.name: duplicate KMS provider name {entry.kms.name}, names must be unique"
                plugins.add(entry.kms.name)


def _key_problems(keys: Iterable[Key], sizes: tuple[int, ...]) -> Iterator[str]:
    for index, key in enumerate(keys):
        try:
            size = len(key.octets)
        except (binascii.Error, ValueError):
            yield f"keys[{index}].secret: secrets must be base64 encoded"
            continue
        if size not in sizes:
            wanted = " ".join(map(str, sizes))
            yield f"keys[{index}].secret: secret is not of the expected length, got {size}, expected one of [{wanted}]"


def _name_problems(names: list[str]) -> Iterator[str]:
    places = [tuple(name.partition(".")[::2]) for name in names]
    if len(set(places)) < len(places):
        yield "the same resource cannot be specified multiple times"
    groups = [group for _, group in places]
    masks = {group for plural, group in places if plural == "*"}
    if len(names) > 1 and ("*.*" in names or any(group in masks and groups.count(group) > 1 for group in groups)):
        yield "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed"
    for name, (plural, group) in zip(names, places, strict=True):
        if name != name.lower():
            yield f"{name}: resource name should not contain capital letters"
        elif name == "*":
            yield "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
        elif name in _NOT_REST:
            yield f"{name}: resources which do not have REST API/s cannot be encrypted"
        elif group == "extensions":
            yield f"{name}: 'extensions' group has been removed and cannot be used for encryption"
        elif group == "*" and plural != "*":
            yield f"{name}: encrypting the same resource across groups is not supported"
