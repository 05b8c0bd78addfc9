"""Defaults of the core group, except pods and workloads.

Source: Kubernetes API reference (pkg/apis/core/v1/defaults.go).
"""

from __future__ import annotations

import base64
from typing import Any

from . import pods

Document = dict[str, Any]


def _fill(holder: Document, name: str, value: str) -> str:
    """Put the value where nothing, or the empty string, stands: what stands there then."""
    if not holder.get(name):
        holder[name] = value
    found: str = holder[name]
    return found


def service(obj: Document) -> None:
    """Fill in a Service; families and addresses are the allocator's."""
    spec = obj.setdefault("spec", {})
    _fill(spec, "sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        config.setdefault("timeoutSeconds", 10800)
    kind = _fill(spec, "type", "ClusterIP")
    for port in spec.get("ports") or ():
        _fill(port, "protocol", "TCP")
        # Zero and the empty string mean unset.
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port")
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        _fill(spec, "externalTrafficPolicy", "Cluster")
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def endpoints(obj: Document) -> None:
    """Fill in an Endpoints."""
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            _fill(port, "protocol", "TCP")


def serviceaccount(obj: Document) -> None:
    """Fill in a ServiceAccount: of the Secrets that it names, the name is all that counts."""
    for secret_reference in obj.get("secrets") or ():
        for member in [member for member in secret_reference if member != "name"]:
            del secret_reference[member]


def endpointslice(obj: Document) -> None:
    """Fill in an EndpointSlice."""
    obj.setdefault("endpoints", [])
    for port in obj.setdefault("ports", []):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def secret(obj: Document) -> None:
    """Fill in a Secret: its type, and `stringData` moved into `data`."""
    _fill(obj, "type", "Opaque")
    if texts := obj.pop("stringData", None):
        data = obj.setdefault("data", {})
        for key, text in texts.items():
            data[key] = base64.b64encode(text.encode()).decode()


def namespace(obj: Document) -> None:
    """Fill in a Namespace: the label that selectors find it by."""
    name = obj["metadata"].get("name")
    if name:
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


def podtemplate(obj: Document) -> None:
    """Fill in a PodTemplate."""
    if obj.get("template"):
        pods.template(obj["template"])


def node(obj: Document) -> None:
    """Fill in a Node: allocatable is the capacity unless said otherwise; the two forms of its range say the same."""
    spec = obj.get("spec") or {}
    if spec.get("podCIDR") and not spec.get("podCIDRs"):
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs") and not spec.get("podCIDR"):
        spec["podCIDR"] = spec["podCIDRs"][0]
    status = obj.get("status")
    if status and "allocatable" not in status and "capacity" in status:
        status["allocatable"] = dict(status["capacity"])


def persistentvolume(obj: Document) -> None:
    """Fill in a PersistentVolume."""
    spec = obj.setdefault("spec", {})
    _fill(spec, "persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    for source, name, value in pods.SOURCES:
        if spec.get(source) is not None:
            spec[source].setdefault(name, value)


def persistentvolumeclaim(obj: Document) -> None:
    """Fill in a PersistentVolumeClaim."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        # Only these two can be asked for by the older field.
        group = source.get("apiGroup") or ""
        if (group, source.get("kind")) in (
            ("", "PersistentVolumeClaim"),
            ("snapshot.storage.k8s.io", "VolumeSnapshot"),
        ):
            spec["dataSourceRef"] = dict(source)
        else:
            del spec["dataSource"]
    elif source is None and reference is not None and not reference.get("namespace"):
        spec["dataSource"] = {name: value for name, value in reference.items() if name != "namespace"}


def limitrange(obj: Document) -> None:
    """Fill in a LimitRange: containers' defaults follow from their maximum and minimum."""
    for item in obj.get("spec", {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        default = dict(item.get("default") or {})
        for name, value in (item.get("max") or {}).items():
            default.setdefault(name, value)
        request = dict(item.get("defaultRequest") or {})
        for name, value in (*default.items(), *(item.get("min") or {}).items()):
            request.setdefault(name, value)
        if default:
            item["default"] = default
        if request:
            item["defaultRequest"] = request
