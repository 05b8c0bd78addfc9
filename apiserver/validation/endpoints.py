"""Rules for Endpoints and Events.

Source: Kubernetes' core validation (ValidateEndpoints, ValidateEventCreate).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value, not_supported, required

from . import names
from .addresses import ip_address, ordinary

Document = dict[str, Any]

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MISMATCH = "does not match event.namespace"
_SHORT = 128
_NOTE = 1024


def endpoints(obj: Document) -> list[Cause]:
    """What is wrong with an Endpoints."""
    causes: list[Cause] = []
    for index, subset in enumerate(obj.get("subsets") or ()):
        here, ports = f"subsets[{index}]", subset.get("ports") or ()
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            causes.append(required(here, "must specify `addresses` or `notReadyAddresses`"))
        for member in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(member) or ()):
                causes += _address(address, f"{here}.{member}[{place}]")
        for place, port in enumerate(ports):
            causes += _port(port, f"{here}.ports[{place}]", named=len(ports) > 1)
    return causes


def _address(address: Document, field: str) -> list[Cause]:
    text, name, node = address.get("ip") or "", address.get("hostname"), address.get("nodeName")
    causes = ip_address(text, f"{field}.ip")
    if name and (problem := names.dns_label(name)):
        causes.append(invalid_value(f"{field}.hostname", name, problem))
    if node is not None and (problem := names.dns_subdomain(node)):
        causes.append(invalid_value(f"{field}.nodeName", node, problem))
    return causes + ordinary(text, f"{field}.ip")


def _port(port: Document, field: str, *, named: bool) -> list[Cause]:
    name, number, protocol = port.get("name") or "", port.get("port") or 0, port.get("protocol") or ""
    causes: list[Cause] = []
    if named and not name:
        causes.append(required(f"{field}.name"))
    elif name and (problem := names.dns_label(name)):
        causes.append(invalid_value(f"{field}.name", name, problem))
    if problem := names.port(number):
        causes.append(invalid_value(f"{field}.port", number, problem))
    if protocol not in _PROTOCOLS:
        here = f"{field}.protocol"
        causes.append(not_supported(here, protocol, _PROTOCOLS) if protocol else required(here))
    if (application := port.get("appProtocol")) is not None and (problem := names.qualified_name(application)):
        causes.append(invalid_value(f"{field}.appProtocol", application, problem))
    return causes


def event(obj: Document) -> list[Cause]:
    """What is wrong with an Event: those that know the time of what happened must say more than old ones."""
    subject, field = (obj.get("involvedObject") or {}).get("namespace") or "", "involvedObject.namespace"
    own = obj["metadata"].get("namespace") or ""
    if not obj.get("eventTime"):
        fits = own == subject if subject else own in ("", "default")
        return [] if fits else [invalid_value(field, subject, _MISMATCH)]
    causes: list[Cause] = []
    if not subject and own not in ("default", "kube-system"):
        causes.append(invalid_value(field, subject, _MISMATCH))
    reporter = obj.get("reportingComponent") or ""
    if not reporter:
        causes.append(required("reportingController"))
    if problem := names.qualified_name(reporter):
        causes.append(invalid_value("reportingController", reporter, problem))
    for name in ("reportingInstance", "action", "reason"):
        text = obj.get(name) or ""
        if not text:
            causes.append(required(name))
        if len(text.encode()) > _SHORT:
            causes.append(invalid_value(name, "", f"can have at most {_SHORT} characters"))
    if len((obj.get("message") or "").encode()) > _NOTE:
        causes.append(invalid_value("message", "", f"can have at most {_NOTE} characters"))
    return causes
