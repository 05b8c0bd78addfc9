"""Rules of `networking.k8s.io` for network policies and the addresses of Services.

Source: Kubernetes' networking validation (ValidateNetworkPolicy, ValidateServiceCIDR, ValidateIPAddress).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, required

from . import names
from .selectors import label_selector
from .values import choice, cidr, each, named, spelled, unchanged

Document = dict[str, Any]

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("Egress", "Ingress")
_PEERS = (("ingress", "from"), ("egress", "to"))


def network_policy(obj: Document) -> list[Cause]:
    """What is wrong with a NetworkPolicy."""
    spec = obj.get("spec") or {}
    causes = label_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in _PEERS:
        for index, rule in enumerate(spec.get(direction) or ()):
            here = f"spec.{direction}[{index}]"
            causes += each(rule.get("ports"), f"{here}.ports", _port)
            causes += each(rule.get(peers), f"{here}.{peers}", _peer)
    types = spec.get("policyTypes") or []
    if len(types) > len(_TYPES):
        return [*causes, invalid_value("spec.policyTypes", types, "may not specify more than two policyTypes")]
    return causes + each(types, "spec.policyTypes", lambda kind, field: choice(kind, field, _TYPES))


def _port(port: Document, field: str) -> list[Cause]:
    causes = choice(port.get("protocol"), f"{field}.protocol", _PROTOCOLS)
    number, last = port.get("port"), port.get("endPort")
    if isinstance(number, int):
        if problem := names.port(number):
            causes.append(invalid_value(f"{field}.port", number, problem))
        if last is not None and last < number:
            causes.append(invalid_value(f"{field}.endPort", last, "must be greater than or equal to `port`"))
        if last is not None and (problem := names.port(last)):
            causes.append(invalid_value(f"{field}.endPort", last, problem))
    elif isinstance(number, str):
        if last is not None:
            causes.append(invalid_value(f"{field}.endPort", last, "may not be specified when `port` is non-numeric"))
        causes += spelled(number, f"{field}.port", names.port_name)
    elif last is not None:
        causes.append(invalid_value(f"{field}.endPort", last, "may not be specified when `port` is not specified"))
    return causes


def _peer(peer: Document, field: str) -> list[Cause]:
    selectors = [name for name in ("podSelector", "namespaceSelector") if peer.get(name) is not None]
    causes = [cause for name in selectors for cause in label_selector(peer[name], f"{field}.{name}")]
    block = peer.get("ipBlock")
    if block is not None:
        causes += _block(block, f"{field}.ipBlock")
        if selectors:
            causes.append(forbidden_field(field, "may not specify both ipBlock and another peer"))
    elif not selectors:
        causes.append(required(field, "must specify a peer"))
    return causes


def _block(block: Document, field: str) -> list[Cause]:
    if not block.get("cidr"):
        return [required(f"{field}.cidr")]
    whole, causes = cidr(block["cidr"], f"{field}.cidr")
    if whole is None:
        return causes
    for index, text in enumerate(block.get("except") or ()):
        here = f"{field}.except[{index}]"
        part, problems = cidr(text, here)
        causes += problems
        if part is not None and not (
            part.version == whole.version and part.prefixlen > whole.prefixlen and part[0] in whole
        ):
            causes.append(invalid_value(here, text, "must be a strict subset of `cidr`"))
    return causes


def service_cidr(obj: Document) -> list[Cause]:
    """What is wrong with a ServiceCIDR."""
    ranges = (obj.get("spec") or {}).get("cidrs") or []
    if not ranges:
        return [required("spec.cidrs", "at least one CIDR required")]
    if len(ranges) > 2:
        return [invalid_value("spec.cidrs", ranges, "may only hold up to 2 values")]
    causes, networks = [], []
    for index, text in enumerate(ranges):
        network, problems = cidr(text, f"spec.cidrs[{index}]")
        causes += problems
        networks += [network] if network is not None else []
    if len(networks) == 2 and networks[0].version == networks[1].version:
        detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        causes.append(invalid_value("spec.cidrs", ranges, detail))
    return causes


def service_cidr_update(new: Document, old: Document) -> list[Cause]:
    """A range is for ever; one of the other family may come beside it."""
    before, after = ((obj.get("spec") or {}).get("cidrs") or [] for obj in (old, new))
    if len(before) == 1 and len(after) == 2 and before[0] == after[0]:
        return []
    return unchanged(new, old, "spec.cidrs")


def ip_address(obj: Document) -> list[Cause]:
    """What is wrong with an IPAddress."""
    parent, field = (obj.get("spec") or {}).get("parentRef"), "spec.parentRef"
    if parent is None:
        return [required(field)]
    causes = spelled(parent.get("group") or None, f"{field}.group", names.dns_subdomain)
    causes += named(parent.get("resource"), f"{field}.resource", names.path_segment)
    causes += named(parent.get("name"), f"{field}.name", names.path_segment)
    return causes + spelled(parent.get("namespace") or None, f"{field}.namespace", names.path_segment)


def ip_address_update(new: Document, old: Document) -> list[Cause]:
    """An address is for ever of one parent."""
    return unchanged(new, old, "spec.parentRef")
