"""Rules for projected volumes: several sources in one directory, no file twice.

Source: Kubernetes' core validation (validateProjectionSources).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required, too_long

from . import names
from .paths import inside, mode
from .selectors import label_selector
from .volume_files import downward_file, key_to_path

Document = dict[str, Any]

_KINDS = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
_KEY_TYPES = ("ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096")
_CONFLICT = "conflicting duplicate paths"


def projected(volume: Document, field: str) -> list[Cause]:
    """What is wrong with a projected volume."""
    causes = mode(volume.get("defaultMode"), f"{field}.defaultMode")
    seen: set[str] = set()
    for index, source in enumerate(volume.get("sources") or ()):
        here = f"{field}.sources[{index}]"
        chosen = [kind for kind in _KINDS if source.get(kind) is not None]
        for kind in chosen:
            causes += _RULES[kind](source[kind], f"{here}.{kind}", field, seen)
        if len(chosen) > 1:
            causes.append(forbidden_field(here, "may not specify more than 1 volume type per source"))
    return causes


def _files(source: Document, field: str, whole: str, seen: set[str]) -> list[Cause]:
    name = source.get("name") or ""
    causes = [] if name else [required(f"{field}.name")]
    for index, item in enumerate(source.get("items") or ()):
        causes += key_to_path(item, f"{field}.items[{index}]")
        causes += _taken(item.get("path"), name, whole, seen)
    return causes


def _downward(source: Document, field: str, whole: str, seen: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    for item in source.get("items") or ():
        causes += downward_file(item, field)
        causes += _taken(item.get("path"), item.get("path") or "", whole, seen)
    return causes


def _token(source: Document, field: str, whole: str, seen: set[str]) -> list[Cause]:
    seconds, path = source.get("expirationSeconds") or 0, source.get("path") or ""
    here, causes = f"{field}.expirationSeconds", []
    if seconds < 600:
        causes.append(invalid_value(here, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > 1 << 32:
        causes.append(invalid_value(here, seconds, "may not specify a duration larger than 2^32 seconds"))
    return causes + (inside(path, f"{whole}.path") if path else [required(f"{whole}.path")])


def _bundle(source: Document, field: str, whole: str, seen: set[str]) -> list[Cause]:
    name, signer, path = source.get("name"), source.get("signerName"), source.get("path") or ""
    causes: list[Cause] = []
    if name is not None and signer is not None:
        causes.append(invalid_value(field, source, "only one of name and signerName may be used"))
    elif name is not None:
        if not name:
            causes.append(required(f"{field}.name", "must be a valid object name"))
        if problem := names.dns_subdomain(name.replace(":", ".")):
            causes.append(invalid_value(f"{field}.name", name, f"not a valid clustertrustbundlename: {problem}"))
        if (selector := source.get("labelSelector")) is not None:
            detail = "labelSelector must be unset if name is specified"
            causes.append(invalid_value(f"{field}.labelSelector", selector, detail))
    elif signer is not None:
        causes += _signer(signer, f"{field}.signerName")
        causes += label_selector(source.get("labelSelector"), f"{field}.labelSelector")
    else:
        causes.append(required(field, "either name or signerName must be specified"))
    if not path:
        causes.append(required(f"{field}.path"))
    return causes + inside(path, f"{field}.path") + _taken(path, path, whole, seen)


def _signer(signer: str, field: str) -> list[Cause]:
    if not signer:
        return [required(field, "must be a valid signer name")]
    domain, slash, path = signer.partition("/")
    if not slash or "/" in path:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid_value(field, signer, detail)]
    if problem := names.dns_subdomain(domain):
        return [invalid_value(field, signer, problem)]
    if "." not in domain:
        return [invalid_value(field, signer, "should be a domain with at least two segments separated by dots")]
    if problem := names.dns_subdomain(path):
        return [invalid_value(field, signer, problem)]
    return [too_long(field, 571)] if len(signer) > 571 else []


def _certificate(source: Document, field: str, whole: str, seen: set[str]) -> list[Cause]:
    causes = _signer(source.get("signerName") or "", f"{field}.signerName")
    if (kind := source.get("keyType") or "") not in _KEY_TYPES:
        causes.append(not_supported(f"{field}.keyType", kind, _KEY_TYPES))
    seconds = source.get("maxExpirationSeconds")
    if seconds is not None and seconds < 3600:
        causes.append(
            invalid_value(f"{field}.maxExpirationSeconds", seconds, "if provided, maxExpirationSeconds must be >= 3600")
        )
    elif seconds is not None and seconds > 91 * 86400:
        causes.append(
            invalid_value(
                f"{field}.maxExpirationSeconds", seconds, "if provided, maxExpirationSeconds must be <= 7862400"
            )
        )
    members = ("credentialBundlePath", "keyPath", "certificateChainPath")
    given = [(member, source[member]) for member in members if source.get(member)]
    if not given:
        causes.append(
            required(field, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath")
        )
    for member, path in given:
        causes += inside(path, f"{field}.{member}") + _taken(path, path, whole, seen)
    return causes


def _taken(path: str | None, value: str, field: str, seen: set[str]) -> list[Cause]:
    if not path:
        return []
    if path in seen:
        return [invalid_value(field, value, _CONFLICT)]
    seen.add(path)
    return []


_RULES = {
    "secret": _files,
    "configMap": _files,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
    "clusterTrustBundle": _bundle,
    "podCertificate": _certificate,
}
