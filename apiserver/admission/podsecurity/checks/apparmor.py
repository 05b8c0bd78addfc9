"""AppArmor: nobody goes without the runtime's profile, or one of the node's own, by field or by annotation."""

from __future__ import annotations

from k8slite.errors import in_quotes

from .base import Check, Document, Finding, Pod, plural, quoted, setters

_PREFIX = "container.apparmor.security.beta.kubernetes.io/"


def _profiles(pod: Pod) -> Finding | None:
    who = setters(_is_bad(pod.security), pod.where(_is_bad))
    securities = (pod.security, *(container.security for container in pod.containers))
    values = sorted({_type(security) or "" for security in securities if _is_bad(security)})
    annotations = sorted(
        f"{key}={in_quotes(value)}"
        for key, value in pod.annotations.items()
        if key.startswith(_PREFIX) and not _is_allowed(value)
    )
    if annotations:
        who = " and ".join(filter(None, (who, plural("annotation", len(annotations)))))
    if not who:
        return None
    values += annotations
    reason = plural("forbidden AppArmor profile", len(values))
    return Finding(reason, f"{who} must not set AppArmor profile type to {quoted(values)}")


def _type(security: Document) -> str | None:
    profile = security.get("appArmorProfile")
    return None if profile is None else profile.get("type") or ""


def _is_bad(security: Document) -> bool:
    return _type(security) not in (None, "RuntimeDefault", "Localhost")


def _is_allowed(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


APPARMOR = Check("appArmorProfile", "baseline", {0: _profiles})
