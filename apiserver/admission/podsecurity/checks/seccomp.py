"""Seccomp: nobody runs unconfined; who is restricted says how it is confined. Before 1.19 annotations said it."""

from __future__ import annotations

from k8slite.errors import in_quotes

from .base import Check, Document, Finding, Pod, plural, quoted, setters, these

_POD = "seccomp.security.alpha.kubernetes.io/pod"
_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_ALLOWED = ("RuntimeDefault", "Localhost")


def _annotations(pod: Pod) -> Finding | None:
    keys = {_POD, *(_CONTAINER + container.name for container in pod.containers)}
    bad = sorted(
        f"{key}={in_quotes(pod.annotations[key])}"
        for key in keys
        if key in pod.annotations and not _is_allowed(pod.annotations[key])
    )
    return Finding("seccompProfile", f"forbidden {plural('annotation', len(bad))} {', '.join(bad)}") if bad else None


def _is_allowed(value: str) -> bool:
    return value in ("runtime/default", "docker/default") or value.startswith("localhost/")


def _baseline(pod: Pod) -> Finding | None:
    bad = pod.where(_is_bad)
    who = setters(_is_bad(pod.security), bad)
    if not who:
        return None
    securities = (pod.security, *(container.security for container in pod.containers))
    types = {_type(security) or "" for security in securities if _is_bad(security)}
    return Finding(
        "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {quoted(sorted(types))}"
    )


def _restricted(pod: Pod) -> Finding | None:
    if (finding := _baseline(pod)) is not None:
        return finding
    if _type(pod.security) is not None:
        return None
    silent = pod.where(lambda security: _type(security) is None)
    if not silent:
        return None
    what = 'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Finding("seccompProfile", f"pod or {these('container', silent)} must set {what}")


def _type(security: Document) -> str | None:
    """The profile's type; None if there is no profile."""
    profile = security.get("seccompProfile")
    return None if profile is None else profile.get("type") or ""


def _is_bad(security: Document) -> bool:
    return _type(security) not in (None, *_ALLOWED)


SECCOMP = Check("seccompProfile_baseline", "baseline", {0: _annotations, 19: _baseline})
RESTRICTED_SECCOMP = Check(
    "seccompProfile_restricted",
    "restricted",
    {19: _restricted, 25: lambda pod: None if pod.is_windows else _restricted(pod)},
    overrides=frozenset({SECCOMP.id}),
)
