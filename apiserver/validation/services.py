"""Rules for Services, and for what may change in them. Their addresses have a module of their own.

Source: Kubernetes' core validation (ValidateService, ValidateServiceUpdate, ValidateLoadBalancerStatus).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required

from . import names
from .addresses import ip_address, ip_range, ordinary, parse
from .metadata import label_map
from .probes import port_reference
from .service_addresses import cluster_ips, is_headless, validate_addresses_update

Document = dict[str, Any]

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_AFFINITIES = ("ClientIP", "None")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_IP_MODES = ("Proxy", "VIP")
_MAX_AFFINITY = 86400
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_HINTS = "service.kubernetes.io/topology-aware-hints"
_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
_ONLY_BALANCERS = "may only be used when `type` is 'LoadBalancer'"


def validate(service: Document) -> list[Cause]:
    """What is wrong with a Service."""
    spec, annotations = service.get("spec") or {}, service["metadata"].get("annotations") or {}
    kind, ports = spec.get("type") or "", spec.get("ports") or []
    causes: list[Cause] = []
    if _HINTS in annotations and annotations.get(_TOPOLOGY_MODE, annotations[_HINTS]) != annotations[_HINTS]:
        detail = f"must match annotations[{_HINTS}] when both are specified"
        here = f"metadata.annotations[{_TOPOLOGY_MODE}]"
        causes.append(invalid_value(here, annotations[_TOPOLOGY_MODE], detail))
    if not ports and not is_headless(spec) and kind != "ExternalName":
        causes.append(required("spec.ports"))
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        causes.append(invalid_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    if kind == "ExternalName":
        causes += _external_name(spec)
    taken: set[str] = set()
    for index, port in enumerate(ports):
        causes += _port(port, f"spec.ports[{index}]", taken, named=len(ports) > 1)
    if selector := spec.get("selector"):
        causes += label_map(selector, "spec.selector")
    causes += _affinity(spec) + cluster_ips(spec)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        here = f"spec.externalIPs[{index}]"
        causes += ip_address(address, here) or ordinary(address, here)
    if kind not in _TYPES:
        causes.append(not_supported("spec.type", kind, _TYPES) if kind else required("spec.type"))
    causes += _numbers(ports, kind)
    causes += _balancer(spec, annotations)
    causes += _traffic(spec)
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        causes.append(not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS))
    return causes


def _external_name(spec: Document) -> list[Cause]:
    causes = [
        forbidden_field(f"spec.{name}", "may not be set for ExternalName services")
        for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(name)
    ]
    # The name may end in a dot, which makes it whole.
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        causes.append(required("spec.externalName"))
    elif problem := names.dns_subdomain(name):
        causes.append(invalid_value("spec.externalName", name, problem))
    return causes


def _port(port: Document, field: str, taken: set[str], *, named: bool) -> list[Cause]:
    causes: list[Cause] = []
    name, protocol, number = port.get("name") or "", port.get("protocol") or "", port.get("port") or 0
    if not name and named:
        causes.append(required(f"{field}.name"))
    elif name:
        if problem := names.dns_label(name):
            causes.append(invalid_value(f"{field}.name", name, problem))
        if name in taken:
            causes.append(duplicate(f"{field}.name", name))
        taken.add(name)
    if problem := names.port(number):
        causes.append(invalid_value(f"{field}.port", number, problem))
    if protocol not in _PROTOCOLS:
        here = f"{field}.protocol"
        causes.append(not_supported(here, protocol, _PROTOCOLS) if protocol else required(here))
    causes += port_reference(port.get("targetPort"), f"{field}.targetPort")
    if (application := port.get("appProtocol")) is not None and (problem := names.qualified_name(application)):
        causes.append(invalid_value(f"{field}.appProtocol", application, problem))
    return causes


def _affinity(spec: Document) -> list[Cause]:
    field, value, config = "spec.sessionAffinity", spec.get("sessionAffinity") or "", spec.get("sessionAffinityConfig")
    causes: list[Cause] = []
    if value not in _AFFINITIES:
        causes.append(not_supported(field, value, _AFFINITIES) if value else required(field))
    if value == "None" and config is not None:
        causes.append(forbidden_field(f"{field}Config", "must not be set when session affinity is None"))
    if value != "ClientIP":
        return causes
    words = "when session affinity type is ClientIP"
    if config is None:
        return [*causes, required(f"{field}Config", words)]
    if (client := config.get("clientIP")) is None:
        return [*causes, required(f"{field}Config.clientIP", words)]
    here, seconds = f"{field}Config.clientIP.timeoutSeconds", client.get("timeoutSeconds")
    if seconds is None:
        causes.append(required(here, words))
    elif not 0 < seconds <= _MAX_AFFINITY:
        causes.append(invalid_value(here, seconds, f"must be greater than 0 and less than {_MAX_AFFINITY}"))
    return causes


def _numbers(ports: list[Document], kind: str) -> list[Cause]:
    causes: list[Cause] = []
    if kind == "ClusterIP":
        causes += [
            forbidden_field(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
            for index, port in enumerate(ports)
            if port.get("nodePort")
        ]
    outer: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        if port.get("nodePort"):
            key = port.get("protocol") or "", port["nodePort"]
            if key in outer:
                causes.append(duplicate(f"spec.ports[{index}].nodePort", key[1]))
            outer.add(key)
    inner: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        key = port.get("protocol") or "", port.get("port") or 0
        if key in inner:
            shown = {
                "Name": "",
                "Protocol": key[0],
                "AppProtocol": None,
                "Port": key[1],
                "TargetPort": 0,
                "NodePort": 0,
            }
            causes.append(duplicate(f"spec.ports[{index}]", shown))
        inner.add(key)
    return causes


def _balancer(spec: Document, annotations: Document) -> list[Cause]:
    causes: list[Cause] = []
    balanced = spec.get("type") == "LoadBalancer"
    if ranges := spec.get("loadBalancerSourceRanges"):
        field = "spec.LoadBalancerSourceRanges"
        causes += [] if balanced else [forbidden_field(field, _ONLY_BALANCERS)]
        for index, text in enumerate(ranges):
            causes += ip_range(text.strip(), f"{field}[{index}]")
    elif (listed := annotations.get(_RANGES)) is not None:
        field = f"metadata.annotations[{_RANGES}]"
        causes += [] if balanced else [forbidden_field(field, _ONLY_BALANCERS)]
        for text in listed.strip().split(",") if listed.strip() else ():
            causes += ip_range(text.strip(), field)
    if spec.get("allocateLoadBalancerNodePorts") is not None and not balanced:
        causes.append(forbidden_field("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCERS))
    if balanced and spec.get("allocateLoadBalancerNodePorts") is None:
        causes.append(required("allocateLoadBalancerNodePorts"))
    if (name := spec.get("loadBalancerClass")) is not None:
        if not balanced:
            causes.append(forbidden_field("spec.loadBalancerClass", _ONLY_BALANCERS))
        elif problem := names.qualified_name(name):
            causes.append(invalid_value("spec.loadBalancerClass", name, problem))
    return causes


def externally_accessible(spec: Document) -> bool:
    """Whether traffic from outside may come straight to it."""
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def needs_health_check(spec: Document) -> bool:
    """Whether a load balancer asks each node whether it has endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _traffic(spec: Document) -> list[Cause]:
    causes: list[Cause] = []
    policy, field = spec.get("externalTrafficPolicy") or "", "spec.externalTrafficPolicy"
    if not externally_accessible(spec):
        if policy:
            causes.append(invalid_value(field, policy, "may only be set for externally-accessible services"))
    elif policy not in _POLICIES:
        causes.append(not_supported(field, policy, _POLICIES) if policy else required(field))
    number, field = spec.get("healthCheckNodePort") or 0, "spec.healthCheckNodePort"
    if not needs_health_check(spec):
        if number:
            detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            causes.append(invalid_value(field, number, detail))
    elif not number:
        causes.append(required(field))
    elif problem := names.port(number):
        causes.append(invalid_value(field, number, problem))
    inner, field = spec.get("internalTrafficPolicy"), "spec.internalTrafficPolicy"
    if inner is None and spec.get("type") in ("ClusterIP", "NodePort", "LoadBalancer"):
        causes.append(required(field))
    elif inner is not None and inner not in _POLICIES:
        causes.append(not_supported(field, inner, _POLICIES))
    return causes


def validate_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a Service that must not."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    causes = validate_addresses_update(after, before)
    name = after.get("loadBalancerClass")
    if before.get("type") == after.get("type") == "LoadBalancer" and before.get("loadBalancerClass") != name:
        causes.append(invalid_value("spec.loadBalancerClass", name, "may not change once set"))
    checked = needs_health_check(before) and needs_health_check(after)
    if checked and before.get("healthCheckNodePort") != after.get("healthCheckNodePort"):
        causes.append(forbidden_field("spec.healthCheckNodePort", "field is immutable"))
    return causes


def validate_status(new: Document, old: Document) -> list[Cause]:
    """What is wrong with what a load balancer says of itself."""
    ingresses = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    field = "status.loadBalancer.ingress"
    if ingresses and (new.get("spec") or {}).get("type") != "LoadBalancer":
        return [forbidden_field(field, "may only be used when `spec.type` is 'LoadBalancer'")]
    causes: list[Cause] = []
    for index, ingress in enumerate(ingresses):
        here, address, mode = f"{field}[{index}]", ingress.get("ip") or "", ingress.get("ipMode")
        if address:
            causes += ip_address(address, f"{here}.ip")
        if mode is None and address:
            causes.append(required(f"{here}.ipMode", "must be specified when `ip` is set"))
        elif mode is not None and not address:
            causes.append(forbidden_field(f"{here}.ipMode", "may not be specified when `ip` is not set"))
        elif mode is not None and mode not in _IP_MODES:
            causes.append(not_supported(f"{here}.ipMode", mode, _IP_MODES))
        if name := ingress.get("hostname"):
            if problem := names.dns_subdomain(name):
                causes.append(invalid_value(f"{here}.hostname", name, problem))
            if parse(name) is not None:
                causes.append(invalid_value(f"{here}.hostname", name, "must be a DNS name, not an IP address"))
    return causes


def warnings(service: Document, old: Document | None) -> list[str]:
    """What a Service says in vain."""
    spec, annotations = service.get("spec") or {}, service["metadata"].get("annotations") or {}
    found: list[str] = []
    if _HINTS in annotations:
        found.append(f"annotation {_HINTS} is deprecated, please use {_TOPOLOGY_MODE} instead")
    if spec.get("externalName") and spec.get("type") != "ExternalName":
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if is_headless(spec) and spec.get("sessionAffinity", "None") != "None":
        found.append("spec.SessionAffinity is ignored for headless services")
    return found
