"""What a Service of type LoadBalancer gets, and what one that is none any more gives back: pure but for the promises.

Source: Kubernetes documentation, "Service", LoadBalancer; k8s.io/cloud-provider/controllers/service.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from k8slite.kinds.core import Service

from .pools import Pools, addresses_of

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
CLASS = "k8slite.io/pool"
"""The `loadBalancerClass` that names this controller; a Service without one is its too."""


@dataclass(frozen=True, slots=True)
class Give:
    """The Service is to have these addresses; `problem` says why it has not all that it asks for."""

    addresses: tuple[str, ...]
    problem: str = ""


def wanted(service: Service) -> bool:
    """Whether a Service wants an address of this controller."""
    return service.spec.type == "LoadBalancer" and service.spec.load_balancer_class in (None, CLASS)


def has_finalizer(service: Service) -> bool:
    """Whether somebody promised to clean up after the Service."""
    return FINALIZER in service.metadata.finalizers


def needs_cleanup(service: Service) -> bool:
    """Whether a Service has to give back what it has: it goes, or is of another type now."""
    if service.spec.type != "LoadBalancer":
        return has_finalizer(service) or bool(service.status.load_balancer.ingress)
    return service.deleting and has_finalizer(service) and wanted(service)


def give(service: Service, pools: Pools) -> Give:
    """The addresses of a Service that wants some: those it has, as long as they may stay, and new ones for the rest.

    One for each of its families, in their order. `spec.loadBalancerIP` is the only one that will do for its family. A
    second family that no pool has is done without unless the Service requires both.
    """
    families = service.spec.ip_families or ["IPv4"]
    asked = _canonical(service.spec.load_balancer_ip)
    if asked is None:
        return Give((), f"loadBalancerIP {service.spec.load_balancer_ip} is not an IP address")
    if asked and family(asked) not in families:
        return Give((), f"loadBalancerIP {asked} is of a family that the Service has not")
    own = [*addresses_of(service), *sorted(pools.promised(service))]
    found: list[str] = []
    problem = ""
    for index, wanted_family in enumerate(families):
        if asked and family(asked) == wanted_family:
            address, why = _asked(asked, service, pools)
        elif index and not pools.has(wanted_family) and service.spec.ip_family_policy != "RequireDualStack":
            continue
        else:
            address, why = _any(wanted_family, own, service, pools)
        if address is not None:
            found.append(address)
        problem = problem or why
    return Give(tuple(found), problem) if not problem else Give((), problem)


def family(address: str) -> str:
    """The family of an address."""
    return "IPv6" if ":" in address else "IPv4"


def _asked(address: str, service: Service, pools: Pools) -> tuple[str | None, str]:
    if address not in pools:
        return None, f"loadBalancerIP {address} is not in a pool"
    if not pools.free(address, service):
        return None, f"loadBalancerIP {address} is another Service's"
    return address, ""


def _any(wanted_family: str, own: list[str], service: Service, pools: Pools) -> tuple[str | None, str]:
    for address in own:
        if family(address) == wanted_family and address in pools and pools.free(address, service):
            return address, ""
    picked = pools.pick(wanted_family)
    return (picked, "") if picked is not None else (None, f"no {wanted_family} address is free")


def _canonical(address: str) -> str | None:
    try:
        return str(ipaddress.ip_address(address)) if address else ""
    except ValueError:
        return None
