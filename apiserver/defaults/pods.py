"""Defaults of a pod's spec, which every workload's template shares.

Source: Kubernetes API reference, "Pod" (pkg/apis/core/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

from k8slite.quantity import canonical

from ..validation.pod_resources import aggregate_requests

Document = dict[str, Any]

_SCHEDULER = "default-scheduler"


def pod_spec(spec: Document) -> None:
    """Fill in a PodSpec."""
    for container in spec.get("containers") or ():
        _container(container)
    for container in spec.get("initContainers") or ():
        _container(container)
    for container in spec.get("ephemeralContainers") or ():
        _container(container)
    if spec.get("hostNetwork"):
        _host_ports(spec)
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for name, value in (("restartPolicy", "Always"), ("dnsPolicy", "ClusterFirst"), ("schedulerName", _SCHEDULER)):
        # The empty string means unset in all of them.
        if not spec.get(name):
            spec[name] = value
    spec.setdefault("terminationGracePeriodSeconds", 30)
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    spec.setdefault("securityContext", {})


def pod(obj: Document) -> None:
    """Fill in a Pod: its spec, and what only a pod itself has."""
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container["resources"]
        limits = resources.get("limits")
        if limits:
            requests = resources.setdefault("requests", {})
            for name, value in limits.items():
                requests.setdefault(name, value)
    if spec.get("resources"):
        _pod_resources(spec)


def _pod_resources(spec: Document) -> None:
    """What the pod wants as a whole follows from its containers where it says no more."""
    own = spec["resources"]
    limits, totals = own.get("limits") or {}, aggregate_requests(spec)
    every = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    if limits:
        requests = dict(own.get("requests") or {})
        for name, total in totals.items():
            if name in ("cpu", "memory"):
                requests.setdefault(name, canonical(f"{total:f}"))
        for name, value in limits.items():
            requests.setdefault(name, value)
        if requests:
            own["requests"] = requests
    for name in {name for container in every for name in ((container.get("resources") or {}).get("limits") or ())}:
        # Huge pages are given, never lent: their limit is what the containers ask for.
        if name.startswith("hugepages-") and name not in limits and name in totals:
            own.setdefault("limits", {})[name] = canonical(f"{totals[name]:f}")
            own.setdefault("requests", {}).setdefault(name, own["limits"][name])


def template(obj: Document) -> None:
    """Fill in a PodTemplateSpec."""
    obj.setdefault("metadata", {})
    pod_spec(obj.setdefault("spec", {}))


SOURCES = (
    ("hostPath", "type", ""),
    ("iscsi", "iscsiInterface", "default"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
    ("scaleIO", "fsType", "xfs"),
    ("azureDisk", "cachingMode", "ReadWrite"),
    ("azureDisk", "kind", "Shared"),
    ("azureDisk", "fsType", "ext4"),
    ("azureDisk", "readOnly", False),
)
"""(source of a volume, its member, what that is if it is not said), in pods and PersistentVolumes."""


def image_pull_policy(image: str) -> str:
    """`Always` for the tag `latest`, said or implied, else `IfNotPresent`."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _container(container: Document) -> None:
    container.setdefault("resources", {})
    if not container.get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not container.get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = image_pull_policy(container.get("image") or "")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom")
        if source and "fieldRef" in source:
            source["fieldRef"].setdefault("apiVersion", "v1")
        elif source and "resourceFieldRef" in source:
            source["resourceFieldRef"].setdefault("divisor", "0")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _probe(container[name])
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for name in ("postStart", "preStop"):
            if name in lifecycle and "httpGet" in lifecycle[name]:
                _http_get(lifecycle[name]["httpGet"])


def _probe(probe: Document) -> None:
    if "httpGet" in probe:
        _http_get(probe["httpGet"])
    elif "grpc" in probe:
        probe["grpc"].setdefault("service", "")
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        # Zero means unset in all of them.
        if not probe.get(name):
            probe[name] = value


def _http_get(action: Document) -> None:
    action.setdefault("path", "/")
    action.setdefault("scheme", "HTTP")


def _host_ports(spec: Document) -> None:
    for group in ("containers", "initContainers"):
        for container in spec.get(group) or ():
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort")


def _volume(volume: Document) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
        return
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if source in volume:
            volume[source].setdefault("defaultMode", 0o644)
    if "image" in volume and not volume["image"].get("pullPolicy"):
        volume["image"]["pullPolicy"] = image_pull_policy(volume["image"].get("reference") or "")
    for source, name, value in SOURCES:
        if source in volume:
            volume[source].setdefault(name, value)
    for item in volume.get("downwardAPI", {}).get("items") or ():
        _downward(item)
    for source in volume.get("projected", {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        for item in source.get("downwardAPI", {}).get("items") or ():
            _downward(item)
    if "ephemeral" in volume:
        claim = volume["ephemeral"].get("volumeClaimTemplate") or {}
        if "spec" in claim:
            claim["spec"].setdefault("volumeMode", "Filesystem")


def _downward(item: Document) -> None:
    if "fieldRef" in item:
        item["fieldRef"].setdefault("apiVersion", "v1")
    elif "resourceFieldRef" in item:
        item["resourceFieldRef"].setdefault("divisor", "0")
