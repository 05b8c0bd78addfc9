"""ConfigMaps and Secrets.

Source: Kubernetes' registry/core/{configmap,secret}/strategy.go and core validation.
"""

from __future__ import annotations

import base64
import binascii

from k8slite.errors import Cause, forbidden_field, invalid_value, required, too_long

from ..defaults import core as defaults
from ..validation import names
from .base import Document, Strategy
from .simple import SimpleStrategy, fields

_LIMIT = 1 << 20
_REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_IMMUTABLE = "field is immutable when `immutable` is set"


def validate_configmap(obj: Document) -> list[Cause]:
    """Keys that can be file names, none twice, not too much."""
    causes: list[Cause] = []
    size = 0
    texts, binaries = obj.get("data") or {}, obj.get("binaryData") or {}
    for key, text in texts.items():
        if problem := names.config_key(key):
            causes.append(invalid_value(f"data[{key}]", key, problem))
        if key in binaries:
            causes.append(invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += len(text.encode())
    for key, text in binaries.items():
        if problem := names.config_key(key):
            causes.append(invalid_value(f"binaryData[{key}]", key, problem))
        size += _decoded_size(text)
    if size > _LIMIT:
        causes.append(too_long("", _LIMIT))
    return causes


def validate_secret(obj: Document) -> list[Cause]:
    """Keys that can be file names, what the type requires, not too much."""
    causes: list[Cause] = []
    data = obj.get("data") or {}
    size = 0
    for key, text in data.items():
        if problem := names.config_key(key):
            causes.append(invalid_value(f"data[{key}]", key, problem))
        size += _decoded_size(text)
    if size > _LIMIT:
        causes.append(too_long("data", _LIMIT))
    for key in _REQUIRED_KEYS.get(obj.get("type") or "", ()):
        if key not in data:
            causes.append(required(f"data[{key}]"))
    if obj.get("type") == "kubernetes.io/service-account-token":
        key = "kubernetes.io/service-account.name"
        if not (obj["metadata"].get("annotations") or {}).get(key):
            causes.append(required(f"metadata.annotations[{key}]"))
    return causes


def _decoded_size(text: str) -> int:
    try:
        return len(base64.b64decode(text))
    except (binascii.Error, ValueError):
        return len(text)


def configmap_update(new: Document, old: Document) -> list[Cause]:
    """An immutable ConfigMap stays as it is."""
    return _immutable(new, old, ("data", "binaryData"))


def secret_update(new: Document, old: Document) -> list[Cause]:
    """A Secret keeps its type; an immutable one stays as it is."""
    causes: list[Cause] = []
    if new.get("type") != old.get("type"):
        causes.append(invalid_value("type", new.get("type") or "", "field is immutable"))
    return causes + _immutable(new, old, ("data",))


def _immutable(new: Document, old: Document, members: tuple[str, ...]) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [forbidden_field(name, _IMMUTABLE) for name in members if (new.get(name) or {}) != (old.get(name) or {})]
    if not new.get("immutable"):
        causes.insert(0, forbidden_field("immutable", _IMMUTABLE))
    return causes


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "configmaps"): SimpleStrategy(validate=validate_configmap, validate_update=configmap_update),
    ("", "secrets"): SimpleStrategy(
        default=defaults.secret, validate=validate_secret, validate_update=secret_update, fields=fields("type")
    ),
}
