"""What of the host's a pod may use: its namespaces, its ports, its network through the kubelet's probes."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Check, Document, Finding, Pod, plural, quoted, these


def _namespaces(pod: Pod) -> Finding | None:
    shared = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(name)]
    return Finding("host namespaces", ", ".join(shared)) if shared else None


def _ports(pod: Pod) -> Finding | None:
    bad: list[str] = []
    ports: set[str] = set()
    for container in pod.containers:
        used = {str(port["hostPort"]) for port in container.document.get("ports") or () if port.get("hostPort")}
        if used:
            bad.append(container.name)
            ports |= used
    if not bad:
        return None
    what = f"{plural('hostPort', len(ports))} {', '.join(sorted(ports))}"
    return Finding("hostPort", f"{these('container', bad)} {_use(len(bad))} {what}")


def _probes(pod: Pod) -> Finding | None:
    bad: set[str] = set()
    hosts: set[str] = set()
    for container in pod.containers:
        if found := set(_hosts(container.document)):
            bad.add(container.name)
            hosts |= found
    if not bad:
        return None
    what = f"{plural('probe or lifecycle host', len(hosts))} {quoted(sorted(hosts))}"
    return Finding("probe or lifecycle host", f"{these('container', sorted(bad))} {_use(len(bad))} {what}")


def _hosts(container: Document) -> Iterator[str]:
    """The hosts that handlers of a container name: the kubelet would speak to them from the node."""
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    for handler in (*handlers, lifecycle.get("postStart"), lifecycle.get("preStop")):
        for way in ("httpGet", "tcpSocket"):
            if host := ((handler or {}).get(way) or {}).get("host"):
                yield host


def _use(count: int) -> str:
    return "uses" if count == 1 else "use"


HOST_NAMESPACES = Check("hostNamespaces", "baseline", {0: _namespaces})
HOST_PORTS = Check("hostPorts", "baseline", {0: _ports})
HOST_PROBES = Check("hostProbesAndHostLifecycle", "baseline", {34: _probes})
