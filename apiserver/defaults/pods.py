"""Defaults of a pod's spec, which every workload's template shares.

Source: Kubernetes API reference, "Pod" (pkg/apis/core/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


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
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")


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


def template(obj: Document) -> None:
    """Fill in a PodTemplateSpec."""
    obj.setdefault("metadata", {})
    pod_spec(obj.setdefault("spec", {}))


def image_pull_policy(image: str) -> str:
    """`Always` for the tag `latest`, said or implied, else `IfNotPresent`."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _container(container: Document) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if "imagePullPolicy" not in container:
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
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
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
    if "iscsi" in volume:
        volume["iscsi"].setdefault("iscsiInterface", "default")


def _downward(item: Document) -> None:
    if "fieldRef" in item:
        item["fieldRef"].setdefault("apiVersion", "v1")
    elif "resourceFieldRef" in item:
        item["resourceFieldRef"].setdefault("divisor", "0")
