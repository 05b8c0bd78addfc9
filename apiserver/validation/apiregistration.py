"""Rules of `apiregistration.k8s.io`: which group and version another server answers for.

Source: Kubernetes' kube-aggregator, apis/apiregistration/validation (ValidateAPIService).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value, required

from . import names
from .values import needed, spelled

Document = dict[str, Any]

_LIMITS = (("groupPriorityMinimum", 20000), ("versionPriority", 1000))


def api_service(obj: Document) -> list[Cause]:
    """What is wrong with an APIService."""
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name") or ""
    group, version, service = spec.get("group") or "", spec.get("version") or "", spec.get("service")
    wanted = f"{version}.{group}"
    causes: list[Cause] = []
    if name != wanted:
        detail = f'must be `spec.version+"."+spec.group`: "{wanted}"'
        causes.append(invalid_value("metadata.name", name, detail))
    if not group and version != "v1":
        detail = "only v1 may have an empty group and it better be legacy kube"
        causes.append(required("spec.group", detail))
    causes += spelled(group or None, "spec.group", names.dns_subdomain)
    causes += spelled(version, "spec.version", names.dns_1035_label)
    for field, limit in _LIMITS:
        value = spec.get(field) or 0
        if not 0 < value <= limit:
            causes.append(invalid_value(f"spec.{field}", value, f"must be positive and less than {limit}"))
    bundle, insecure = spec.get("caBundle"), bool(spec.get("insecureSkipTLSVerify"))
    here = "spec.insecureSkipTLSVerify"
    if service is None:
        if bundle:
            causes.append(invalid_value("spec.caBundle", "bytes", "local APIServices may not have a caBundle"))
        if insecure:
            detail = "local APIServices may not have insecureSkipTLSVerify"
            causes.append(invalid_value(here, insecure, detail))
        return causes
    for part in ("namespace", "name"):
        causes += needed(service.get(part), f"spec.service.{part}")
    if (port := service.get("port")) is not None and (problem := names.port(port)):
        causes.append(invalid_value("spec.service.port", port, f"port is not valid: {problem}"))
    if insecure and bundle:
        causes.append(invalid_value(here, insecure, "may not be true if caBundle is present"))
    return causes
