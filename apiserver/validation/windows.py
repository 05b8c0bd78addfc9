"""Rules for what only Windows knows: users with domains, credential specs, host processes.

Source: Kubernetes' core validation (validateWindowsSecurityContextOptions, validateWindowsHostProcessPod).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from k8slite.errors import Cause, invalid_value

from . import names

Document = dict[str, Any]

_has_control = re.compile(r"[\x00-\x1f\x7f]").search
_is_netbios = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}').fullmatch
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_is_domain = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch
_has_forbidden = re.compile(r'["/\\:;|=,+*?<>@\[\]]').search
_is_dots = re.compile("[. ]+").fullmatch
_SPEC_KIB = 64
_DOMAIN = 256
_USER = 104


def options(chosen: Document | None, field: str) -> list[Cause]:
    """What is wrong with `windowsOptions`."""
    if not chosen:
        return []
    causes: list[Cause] = []
    name, spec = chosen.get("gmsaCredentialSpecName"), chosen.get("gmsaCredentialSpec")
    if name is not None and (problem := names.dns_subdomain(name)):
        causes.append(invalid_value(f"{field}.gmsaCredentialSpecName", name, problem))
    if spec is not None:
        here = f"{field}.gmsaCredentialSpec"
        if not spec:
            causes.append(invalid_value(here, spec, "gmsaCredentialSpec cannot be an empty string"))
        elif len(spec) > _SPEC_KIB * 1024:
            causes.append(invalid_value(here, spec, f"gmsaCredentialSpec size must be under {_SPEC_KIB} KiB"))
    if (user := chosen.get("runAsUserName")) is not None:
        causes += [invalid_value(f"{field}.runAsUserName", user, detail) for detail in _user(user)]
    return causes


def _user(text: str) -> Iterable[str]:
    domain, slash, user = text.rpartition("\\")
    if not text:
        yield "runAsUserName cannot be an empty string"
    elif _has_control(text):
        yield "runAsUserName cannot contain control characters"
    elif "\\" in domain:
        yield "runAsUserName cannot contain more than one backslash"
    else:
        if len(domain) >= _DOMAIN:
            yield f"runAsUserName's Domain length must be under {_DOMAIN} characters"
        if slash and not _is_netbios(domain) and not _is_domain(domain):
            yield "runAsUserName's Domain doesn't match the NetBios nor the DNS format"
        if not user:
            yield "runAsUserName's User cannot be empty"
        elif len(user) > _USER:
            yield f"runAsUserName's User length must not be longer than {_USER} characters"
        if _is_dots(user):
            yield "runAsUserName's User cannot contain only periods or spaces"
        if _has_forbidden(user):
            yield "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"


def host_processes(spec: Document, field: str, containers: Iterable[tuple[Document, str]]) -> list[Cause]:
    """All containers of a pod are processes of their node, or none."""
    causes: list[Cause] = []
    wanted = _host_process(spec)
    found: list[bool] = []
    for container, here in containers:
        own = _host_process(container)
        if own is not None and wanted is not None and own != wanted:
            detail = f"pod hostProcess value must be identical if both are specified, was {str(wanted).lower()}"
            causes.append(invalid_value(f"{here}.securityContext.windowsOptions.hostProcess", own, detail))
        found.append(bool(wanted if own is None else own))
    if any(found):
        if not all(found):
            detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
            causes.append(invalid_value(field, "", detail))
        if not spec.get("hostNetwork"):
            detail = "hostNetwork must be true if pod contains any hostProcess containers"
            causes.append(invalid_value(f"{field}.hostNetwork", False, detail))
    return causes


def _host_process(holder: Document) -> bool | None:
    chosen = (holder.get("securityContext") or {}).get("windowsOptions") or {}
    value: bool | None = chosen.get("hostProcess")
    return value
