"""Rules for ConfigMaps and Secrets: keys that can be file names, not too much, what a Secret's type requires.

Source: Kubernetes' core validation (ValidateConfigMap, ValidateSecret, and their updates).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, required, too_long

from . import names

Document = dict[str, Any]

_LIMIT = 1 << 20
_IMMUTABLE = "field is immutable when `immutable` is set"
_REDACTED = "<secret contents redacted>"
_ACCOUNT = "kubernetes.io/service-account.name"
_JSON = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}
_GO_KINDS = {list: "array", str: "string", int: "number", float: "number", bool: "bool"}


def configmap(obj: Document) -> list[Cause]:
    """What is wrong with a ConfigMap."""
    causes: list[Cause] = []
    size = 0
    texts, binaries = obj.get("data") or {}, obj.get("binaryData") or {}
    for key, text in texts.items():
        if problem := names.config_key(key):
            causes.append(invalid_value(f"data[{key}]", key, problem))
        if key in binaries:
            causes.append(invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += len(text) if text.isascii() else len(text.encode())
    for key, text in binaries.items():
        if problem := names.config_key(key):
            causes.append(invalid_value(f"binaryData[{key}]", key, problem))
        size += len(_decoded(text))
    return causes + ([too_long("[]", _LIMIT)] if size > _LIMIT else [])


def secret(obj: Document) -> list[Cause]:
    """What is wrong with a Secret."""
    causes: list[Cause] = []
    data, kind = obj.get("data") or {}, obj.get("type") or ""
    size = 0
    for key, text in data.items():
        if problem := names.config_key(key):
            causes.append(invalid_value(f"data[{key}]", key, problem))
        size += len(_decoded(text))
    if size > _LIMIT:
        causes.append(too_long("data", _LIMIT))
    match kind:
        case "kubernetes.io/service-account-token":
            if not (obj["metadata"].get("annotations") or {}).get(_ACCOUNT):
                causes.append(required(f"metadata.annotations[{_ACCOUNT}]"))
        case "kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson":
            causes += _json_object(data, _JSON[kind])
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                causes += [required("data[username]"), required("data[password]")]
        case "kubernetes.io/ssh-auth":
            causes += [] if data.get("ssh-privatekey") else [required("data[ssh-privatekey]")]
        case "kubernetes.io/tls":
            causes += [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return causes


def _json_object(data: Mapping[str, str], key: str) -> list[Cause]:
    if key not in data:
        return [required(f"data[{key}]")]
    text = _decoded(data[key]).decode(errors="replace")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip()
        shown = repr(rest[:1]) if rest[:1] != "'" else "'\\''"
        words = f"invalid character {shown} looking for beginning of value" if rest else "unexpected end of JSON input"
        return [invalid_value(f"data[{key}]", _REDACTED, words)]
    if value is None or isinstance(value, dict):
        return []
    words = f"json: cannot unmarshal {_GO_KINDS[type(value)]} into Go value of type map[string]interface {{}}"
    return [invalid_value(f"data[{key}]", _REDACTED, words)]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return text.encode()


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
