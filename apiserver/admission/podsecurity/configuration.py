"""What an administrator says about Pod Security: the policy of namespaces without labels, and who is exempt.

Source: Kubernetes documentation, "Configure the Built-in Pod Security Admission Controller".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from k8slite.config import ConfigError

from ...validation import names
from ..configuration import Configurations
from .checks.base import Document
from .levels import LATEST, LEVELS, MODES, Policy, Standard, level_of, minor_of

_GROUP = "pod-security.admission.config.k8s.io"
_VERSIONS = frozenset(f"{_GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults, and who is not asked: namespaces, users, pods of runtime classes."""

    defaults: Policy = field(default_factory=Policy)
    namespaces: frozenset[str] = frozenset()
    usernames: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


def read(configurations: Configurations) -> Settings:
    """Read the plugin's configuration. Raises ConfigError."""
    document = configurations.of("PodSecurity", kind="PodSecurityConfiguration", versions=_VERSIONS)
    _only(document, "", {"apiVersion", "kind", "defaults", "exemptions"})
    defaults = _mapping(document, "defaults")
    _only(defaults, "defaults.", {f"{mode}{part}" for mode in MODES for part in ("", "-version")})
    exemptions = _mapping(document, "exemptions")
    _only(exemptions, "exemptions.", {"namespaces", "usernames", "runtimeClasses"})
    return Settings(
        defaults=Policy(*(_standard(defaults, mode) for mode in MODES)),
        namespaces=_exempt(exemptions, "namespaces", names.dns_label),
        usernames=_exempt(exemptions, "usernames", lambda name: "" if name else "username must not be empty"),
        runtime_classes=_exempt(exemptions, "runtimeClasses", names.dns_subdomain),
    )


def _standard(defaults: Document, mode: str) -> Standard:
    level = level_of(defaults.get(mode) or "privileged")
    if level is None:
        raise _wrong(f"defaults.{mode}", f"must be one of {', '.join(LEVELS)}")
    try:
        return Standard(level, minor_of(str(defaults.get(f"{mode}-version") or LATEST)))
    except ValueError as error:
        raise _wrong(f"defaults.{mode}-version", str(error)) from error


def _exempt(exemptions: Document, member: str, rule: Callable[[str], Any]) -> frozenset[str]:
    where, listed = f"exemptions.{member}", exemptions.get(member) or []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise _wrong(where, "must be a list of strings")
    for index, name in enumerate(listed):
        if problem := rule(name):
            raise _wrong(f"{where}[{index}]", str(problem))
        if name in listed[:index]:
            raise _wrong(f"{where}[{index}]", f'Duplicate value: "{name}"')
    return frozenset(listed)


def _mapping(document: Document, member: str) -> Document:
    found = document.get(member) or {}
    if not isinstance(found, dict):
        raise _wrong(member, "must be a mapping")
    return found


def _only(document: Document, prefix: str, known: set[str]) -> None:
    if unknown := sorted(str(name) for name in document.keys() - known):
        raise _wrong(prefix + unknown[0], "unknown field")


def _wrong(field: str, detail: str) -> ConfigError:
    return ConfigError(f"admission plugin PodSecurity: {field}: {detail}")
