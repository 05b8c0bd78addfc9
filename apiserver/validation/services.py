"""Rules for Services.

Source: Kubernetes' core validation (ValidateService, ValidateServiceUpdate).
"""

from __future__ import annotations

import ipaddress
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required

from . import names
from .metadata import label_map

Document = dict[str, Any]

_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_AFFINITIES = ("ClientIP", "None")
_TRAFFIC = ("Cluster", "Local")
_MAX_AFFINITY = 86400
_WITH_ADDRESS = _TYPES[:3]


def validate(service: Document) -> list[Cause]:
    """What is wrong with a Service."""
    spec = service.get("spec") or {}
    kind = spec.get("type")
    causes: list[Cause] = []
    headless = spec.get("clusterIP") == "None"
    if kind not in _TYPES:
        causes.append(not_supported("spec.type", kind or "", _TYPES))
    ports = spec.get("ports") or []
    if not ports and not headless and kind != "ExternalName":
        causes.append(required("spec.ports"))
    causes += _ports(ports, headless=headless)
    if kind == "ExternalName":
        name = (spec.get("externalName") or "").removesuffix(".")
        if not name:
            causes.append(required("spec.externalName"))
        elif problem := names.dns_subdomain(name):
            causes.append(invalid_value("spec.externalName", name, problem))
    elif headless and kind != "ClusterIP":
        causes.append(invalid_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    if selector := spec.get("selector"):
        causes += label_map(selector, "spec.selector")
    if (value := spec.get("sessionAffinity")) not in _AFFINITIES:
        causes.append(not_supported("spec.sessionAffinity", value or "", _AFFINITIES))
    seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if value == "ClientIP" and seconds is not None and not 0 < seconds <= _MAX_AFFINITY:
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        causes.append(invalid_value(field, seconds, f"must be greater than 0 and less than {_MAX_AFFINITY}"))
    for name in ("externalTrafficPolicy", "internalTrafficPolicy"):
        if (policy := spec.get(name)) is not None and policy not in _TRAFFIC:
            causes.append(not_supported(f"spec.{name}", policy, _TRAFFIC))
    if spec.get("externalTrafficPolicy") and kind in ("ClusterIP", "ExternalName") and not spec.get("externalIPs"):
        detail = "may only be set for externally-accessible services"
        causes.append(invalid_value("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], detail))
    for index, address in enumerate(spec.get("clusterIPs") or ()):
        if address != "None" and not _is_address(address):
            detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            causes.append(invalid_value(f"spec.clusterIPs[{index}]", address, detail))
    for index, address in enumerate(spec.get("externalIPs") or ()):
        if not _is_address(address):
            detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            causes.append(invalid_value(f"spec.externalIPs[{index}]", address, detail))
    return causes


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ports(ports: list[Document], *, headless: bool) -> list[Cause]:
    causes: list[Cause] = []
    seen_names: set[str] = set()
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        name, number, protocol = port.get("name") or "", port.get("port") or 0, port.get("protocol")
        if not name:
            if len(ports) > 1:
                causes.append(required(f"{here}.name"))
        elif problem := names.dns_label(name):
            causes.append(invalid_value(f"{here}.name", name, problem))
        elif name in seen_names:
            causes.append(duplicate(f"{here}.name", name))
        seen_names.add(name)
        if problem := names.port(number):
            causes.append(invalid_value(f"{here}.port", number, problem))
        if protocol not in _PROTOCOLS:
            causes.append(not_supported(f"{here}.protocol", protocol or "", _PROTOCOLS))
        target = port.get("targetPort")
        if isinstance(target, int):
            if problem := names.port(target):
                causes.append(invalid_value(f"{here}.targetPort", target, problem))
        elif isinstance(target, str) and (problem := names.port_name(target)):
            causes.append(invalid_value(f"{here}.targetPort", target, problem))
        if headless and port.get("nodePort"):
            causes.append(
                invalid_value(f"{here}.nodePort", port["nodePort"], "may not be used when `clusterIP` is 'None'")
            )
        pair = (protocol or "", number)
        if pair in seen:
            causes.append(duplicate(here, {"port": number, "protocol": protocol}))
        seen.add(pair)
    return causes


def validate_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a Service that must not."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before.get("type") not in _WITH_ADDRESS or after.get("type") not in _WITH_ADDRESS:
        return []
    causes: list[Cause] = []
    if before.get("clusterIP") and after.get("clusterIP") != before["clusterIP"]:
        detail = "may not change once set"
        causes.append(invalid_value("spec.clusterIPs[0]", after.get("clusterIP") or "", detail))
    if before.get("clusterIP") == "None" and after.get("type") != "ClusterIP":
        causes.append(forbidden_field("spec.clusterIP", "may not be changed when the service is headless"))
    return causes
