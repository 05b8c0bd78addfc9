"""Defaults of the core group, except pods and workloads.

Source: Kubernetes API reference (pkg/apis/core/v1/defaults.go).
"""

from __future__ import annotations

import base64
from typing import Any

from . import pods

Document = dict[str, Any]


def service(obj: Document) -> None:
    """Fill in a Service; families and addresses are the allocator's."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        config.setdefault("timeoutSeconds", 10800)
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        # Zero and the empty string mean unset.
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port")
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def endpoints(obj: Document) -> None:
    """Fill in an Endpoints."""
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def endpointslice(obj: Document) -> None:
    """Fill in an EndpointSlice."""
    obj.setdefault("endpoints", [])
    for port in obj.setdefault("ports", []):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def secret(obj: Document) -> None:
    """Fill in a Secret: its type, and `stringData` moved into `data`."""
    obj.setdefault("type", "Opaque")
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
    """Fill in a Node: allocatable is the capacity unless said otherwise."""
    status = obj.get("status")
    if status and "allocatable" not in status and "capacity" in status:
        status["allocatable"] = dict(status["capacity"])


def persistentvolume(obj: Document) -> None:
    """Fill in a PersistentVolume."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")


def persistentvolumeclaim(obj: Document) -> None:
    """Fill in a PersistentVolumeClaim."""
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def limitrange(obj: Document) -> None:
    """Fill in a LimitRange: containers' defaults follow from their maximum and minimum."""
    for item in obj.get("spec", {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        default = dict(item.get("default") or {})
        for name, value in (item.get("max") or {}).items():
            default.setdefault(name, value)
        request = dict(item.get("defaultRequest") or {})
        for name, value in (item.get("min") or {}).items():
            request.setdefault(name, value)
        for name, value in default.items():
            request.setdefault(name, value)
        if default:
            item["default"] = default
        if request:
            item["defaultRequest"] = request
