"""Rules for pods and for the templates of pods.

What may change in a pod is in `pod_changes`, what its status may say in `pod_status`.

Source: Kubernetes' core validation (ValidatePodCreate, ValidatePodSpec, ValidatePodTemplateSpec).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required

from . import names
from .addresses import ip_address
from .affinity import affinity, tolerations
from .containers import Surroundings, containers
from .metadata import annotations_map, label_map
from .pod_annotations import annotations_and_fields, pod_annotations
from .pod_resources import claims, pod_resources
from .resources import requirements
from .security import each_container, host_users, operating_system, pod_context
from .spreading import spread_constraints
from .volumes import volumes
from .windows import host_processes

Document = dict[str, Any]

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_MAX_DEADLINE = 2**31 - 1
_MOST_NAMESERVERS = 3
_MOST_SEARCHES = 32
_LONGEST_SEARCH_LIST = 2048
_LONGEST_HOSTNAME = 64
_NAMES = (
    ("serviceAccountName", names.dns_subdomain),
    ("nodeName", names.dns_subdomain),
)
_LATER_NAMES = (
    ("priorityClassName", names.dns_subdomain),
    ("runtimeClassName", names.dns_subdomain),
)


def validate(pod: Document) -> list[Cause]:
    """What is wrong with a pod, new or old."""
    meta, spec = pod["metadata"], pod.get("spec") or {}
    causes: list[Cause] = []
    if annotations := meta.get("annotations"):
        causes += pod_annotations(annotations, spec, "metadata.annotations")
    causes += pod_spec(spec, "spec", pod_name=meta.get("name") or "", of_pod=True)
    if not spec.get("serviceAccountName"):
        for index, volume in enumerate(spec.get("volumes") or ()):
            for place, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
                if source.get("serviceAccountToken") is not None:
                    here = f"spec.volumes[{index}].projected.sources[{place}].serviceAccountToken"
                    causes.append(forbidden_field(here, "must not be specified when serviceAccountName is not set"))
    return causes


def validate_create(pod: Document) -> list[Cause]:
    """What is wrong with a pod because it is new."""
    spec = pod.get("spec") or {}
    causes: list[Cause] = []
    if spec.get("ephemeralContainers"):
        causes.append(forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        detail = "cannot be set until all schedulingGates have been cleared"
        causes.append(forbidden_field("spec.nodeName", detail))
    if annotations := pod["metadata"].get("annotations"):
        causes += annotations_and_fields(annotations, spec, "spec")
    return causes


def template(obj: Document | None, field: str) -> list[Cause]:
    """What is wrong with a pod template."""
    if obj is None:
        return [required(field)]
    meta, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    causes: list[Cause] = []
    if labels := meta.get("labels"):
        causes += label_map(labels, f"{field}.labels")
    annotations = meta.get("annotations")
    if annotations:
        causes += annotations_map(annotations, f"{field}.annotations")
        causes += pod_annotations(annotations, spec, f"{field}.annotations")
    causes += pod_spec(spec, f"{field}.spec")
    if annotations:
        causes += annotations_and_fields(annotations, spec, f"{field}.spec")
    if spec.get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        causes.append(forbidden_field(f"{field}.spec.ephemeralContainers", detail))
    return causes


def pod_spec(spec: Document, field: str, *, pod_name: str = "", of_pod: bool = False) -> list[Cause]:
    """What is wrong with a pod's spec."""
    causes: list[Cause] = []
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is None:
        causes.append(required(f"{field}.terminationGracePeriodSeconds"))
    good: dict[str, Document] = {}
    if listed := spec.get("volumes"):
        good, found = volumes(listed, f"{field}.volumes", pod_name, of_pod=of_pod)
        causes += found
    claimed = spec.get("resourceClaims")
    if claimed:
        causes += claims(claimed, f"{field}.resourceClaims")
    around = Surroundings(
        grace=grace,
        restart_policy=spec.get("restartPolicy") or "",
        host_users=spec.get("hostUsers") is not False,
        of_pod=of_pod,
        volumes=good,
        claims=frozenset(claim["name"] for claim in claimed if claim.get("name")) if claimed else frozenset(),
    )
    causes += containers(spec, field, around)
    if (wanted := spec.get("resources")) is not None:
        causes += pod_resources(wanted, spec, f"{field}.resources")
    if spec.get("hostNetwork"):
        causes += _host_ports(spec, field, of_pod=of_pod)
    causes += _policy(spec, "restartPolicy", _RESTART_POLICIES, field)
    causes += _policy(spec, "dnsPolicy", _DNS_POLICIES, field)
    if selector := spec.get("nodeSelector"):
        causes += label_map(selector, f"{field}.nodeSelector")
    causes += pod_context(spec, field)
    if wanted := spec.get("affinity"):
        causes += affinity(wanted, f"{field}.affinity")
    if spec.get("dnsConfig") is not None or spec.get("dnsPolicy") == "None":
        causes += _dns(spec, f"{field}.dnsConfig")
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        if problem := names.qualified_name(gate.get("conditionType") or ""):
            here = f"{field}.readinessGates[{index}].conditionType"
            causes.append(invalid_value(here, gate.get("conditionType") or "", problem))
    if gates := spec.get("schedulingGates"):
        causes += _scheduling_gates(gates, f"{field}.schedulingGates")
    if constraints := spec.get("topologySpreadConstraints"):
        causes += spread_constraints(constraints, f"{field}.topologySpreadConstraints")
    causes += host_processes(spec, field, each_container(spec, field))
    causes += host_users(spec, field)
    return causes + _names_and_numbers(spec, field)


def _names_and_numbers(spec: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    for name, rule in _NAMES:
        if (text := spec.get(name)) and (problem := rule(text)):
            causes.append(invalid_value(f"{field}.{name}", text, problem))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_DEADLINE:
        detail = f"must be between 1 and {_MAX_DEADLINE}, inclusive"
        causes.append(invalid_value(f"{field}.activeDeadlineSeconds", deadline, detail))
    if "hostname" in spec or "subdomain" in spec or "hostnameOverride" in spec:
        causes += _hostnames(spec, field)
    if listed := spec.get("tolerations"):
        causes += tolerations(listed, f"{field}.tolerations")
    if aliases := spec.get("hostAliases"):
        causes += _host_aliases(aliases, f"{field}.hostAliases")
    for name, rule in _LATER_NAMES:
        if (text := spec.get(name)) and (problem := rule(text)):
            causes.append(invalid_value(f"{field}.{name}", text, problem))
    if (policy := spec.get("preemptionPolicy")) is not None:
        causes += _policy({"preemptionPolicy": policy}, "preemptionPolicy", _PREEMPTION_POLICIES, field)
    if overhead := spec.get("overhead"):
        causes += requirements({"limits": overhead}, f"{field}.overhead")
    return causes + operating_system(spec, field)


def _policy(spec: Document, name: str, allowed: Sequence[str], field: str) -> list[Cause]:
    value = spec.get(name) or ""
    if value in allowed:
        return []
    here = f"{field}.{name}"
    return [not_supported(here, value, allowed, in_order=True) if value else required(here)]


def _hostnames(spec: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    for name in ("hostname", "subdomain"):
        if (text := spec.get(name)) and (problem := names.dns_label(text)):
            causes.append(invalid_value(f"{field}.{name}", text, problem))
    if (override := spec.get("hostnameOverride")) is not None:
        here = f"{field}.hostnameOverride"
        if problem := names.dns_subdomain(override):
            causes.append(invalid_value(here, override, problem))
        if len(override) > _LONGEST_HOSTNAME:
            detail = f"must be no more than {_LONGEST_HOSTNAME} characters"
            causes.append(invalid_value(here, override, detail))
        if spec.get("setHostnameAsFQDN"):
            detail = "may not be specified when `setHostnameAsFQDN` is true"
            causes.append(forbidden_field(here, detail))
        if spec.get("hostNetwork"):
            causes.append(forbidden_field(here, "may not be specified when `hostNetwork` is true"))
    return causes


def _host_aliases(aliases: list[Document], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, alias in enumerate(aliases):
        causes += ip_address(alias.get("ip") or "", f"{field}[{index}].ip")
        for place, name in enumerate(alias.get("hostnames") or ()):
            if problem := names.dns_subdomain(name):
                causes.append(invalid_value(f"{field}[{index}].hostnames[{place}]", name, problem))
    return causes


def _host_ports(spec: Document, field: str, *, of_pod: bool) -> list[Cause]:
    detail = "must match `containerPort` when `hostNetwork` is true"
    causes: list[Cause] = []
    for index, container in enumerate(spec.get("containers") or ()):
        for place, port in enumerate(container.get("ports") or ()):
            outer = port.get("hostPort") or 0
            # In a template the port may be left out: the pod gets it.
            if (of_pod or outer) and outer != port.get("containerPort"):
                causes.append(invalid_value(f"{field}.containers[{index}].ports[{place}].hostPort", outer, detail))
    return causes


def _scheduling_gates(gates: list[Document], field: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        name = gate.get("name") or ""
        if problem := names.qualified_name(name):
            causes.append(invalid_value(f"{field}[{index}]", name, problem))
        if name in seen:
            causes.append(duplicate(f"{field}[{index}]", name))
        seen.add(name)
    return causes


def _dns(spec: Document, field: str) -> list[Cause]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            return [required(field, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [required(f"{field}.nameservers", detail)]
    config = config or {}
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    causes: list[Cause] = []
    if len(servers) > _MOST_NAMESERVERS:
        detail = f"must not have more than {_MOST_NAMESERVERS} nameservers"
        causes.append(invalid_value(f"{field}.nameservers", servers, detail))
    for index, server in enumerate(servers):
        causes += ip_address(server, f"{field}.nameservers[{index}]")
    if len(searches) > _MOST_SEARCHES:
        detail = f"must not have more than {_MOST_SEARCHES} search paths"
        causes.append(invalid_value(f"{field}.searches", searches, detail))
    if len(" ".join(searches)) > _LONGEST_SEARCH_LIST:
        detail = f"must not have more than {_LONGEST_SEARCH_LIST} characters (including spaces) in the search list"
        causes.append(invalid_value(f"{field}.searches", searches, detail))
    for index, search in enumerate(searches):
        name = search.removesuffix(".")
        if search != "." and (problem := names.loose_subdomain(name)):
            causes.append(invalid_value(f"{field}.searches[{index}]", name, problem))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            causes.append(required(f"{field}.options[{index}]", "must not be empty"))
    return causes
