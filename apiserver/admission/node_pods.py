"""What a kubelet may do to pods: make mirrors of its static ones, delete and evict its own, and write their status.

Source: Kubernetes' plugin/pkg/admission/noderestriction; api/pod (which volumes name API objects).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k8slite.errors import ApiError, forbidden, not_found

from ..authz.node_graph import MIRROR, references
from ..strategies.base import Document
from .base import Admission

_BY_PROJECTION = {
    "serviceAccountToken": "serviceaccounts (via projected volumes)",
    "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificaterequests (via projected volumes)",
}
_BY_VOLUME = {
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims",
    "csi": "csidrivers (via CSI volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)",
}


def check(admission: Admission, node: str) -> None:
    """Raise ApiError for what is no business of the node."""
    match admission.subresource:
        case "":
            _pod(admission, node)
        case "status":
            _status(admission, node)
        case "eviction":
            pod = admission.context.lookup("", "pods", admission.namespace, admission.name)
            if pod is None:
                raise not_found("pods", admission.name)
            if _node_of(pod) != node:
                raise refused(admission, f"node {node} can only evict pods with spec.nodeName set to itself")
        case other:
            detail = f"unexpected pod subresource \"{other}\", only 'status' and 'eviction' are allowed"
            raise refused(admission, detail)


def _pod(admission: Admission, node: str) -> None:
    match admission.operation:
        case "CREATE":
            _create(admission, node, admission.object or {})
        case "DELETE":
            if admission.old is not None and _node_of(admission.old) != node:
                raise refused(admission, f'node "{node}" can only delete pods with spec.nodeName set to itself')
        case operation:
            detail = f'unexpected operation "{operation}", node "{node}" can only create and delete mirror pods'
            raise refused(admission, detail)


def _create(admission: Admission, node: str, pod: Document) -> None:
    if MIRROR not in (pod["metadata"].get("annotations") or {}):
        detail = f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
        raise refused(admission, detail)
    if _node_of(pod) != node:
        raise refused(admission, f'node "{node}" can only create pods with spec.nodeName set to itself')
    _owner(admission, node, pod["metadata"].get("ownerReferences") or [])
    if resource := _named_by(pod):
        raise refused(admission, f'node "{node}" can not create pods that reference {resource}')


def _owner(admission: Admission, node: str, owners: list[Mapping[str, Any]]) -> None:
    """A mirror pod goes with its node: that alone owns it."""
    start = f'node "{node}" can only create pods with'
    if len(owners) > 1:
        raise refused(admission, f"{start} a single owner reference set to itself")
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        raise refused(admission, f"{start} an owner reference set to itself")
    if not owner.get("controller"):
        raise refused(admission, f"{start} a controller owner reference set to itself")
    if owner.get("blockOwnerDeletion"):
        raise refused(admission, f'node "{node}" must not set blockOwnerDeletion on an owner reference')
    known = admission.context.lookup("", "nodes", "", node)
    if known is None:
        raise not_found("nodes", node)
    if owner.get("uid") != known["metadata"]["uid"]:
        detail = f"node {node} UID mismatch: expected {owner.get('uid')} got {known['metadata']['uid']}"
        raise refused(admission, detail)


def _named_by(pod: Document) -> str:
    """The first sort of API object that a pod leads to, empty if it leads to none."""
    spec = pod.get("spec") or {}
    if spec.get("serviceAccountName"):
        return "a service account"
    named = {plural for plural, _ in references(pod)}
    for plural in ("secrets", "configmaps"):
        if plural in named:
            return plural
    if spec.get("resourceClaims"):
        return "resourceclaims"
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            for kind, resource in _BY_PROJECTION.items():
                if source.get(kind) is not None:
                    return resource
        for kind, resource in _BY_VOLUME.items():
            if volume.get(kind) is not None:
                return resource
    return ""


def _status(admission: Admission, node: str) -> None:
    if admission.operation != "UPDATE" or admission.old is None:
        raise refused(admission, f'unexpected operation "{admission.operation}"')
    new, old = admission.object or {}, admission.old
    if _node_of(old) != node:
        detail = f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
        raise refused(admission, detail)
    if (new["metadata"].get("labels") or {}) != (old["metadata"].get("labels") or {}):
        raise refused(admission, f'node "{node}" cannot update labels through pod status')
    # Which claims are a pod's own says what its node may read (CVE-2025-4563).
    after, before = new.get("status") or {}, old.get("status") or {}
    if (after.get("resourceClaimStatuses") or []) != (before.get("resourceClaimStatuses") or []):
        raise refused(admission, f'node "{node}" cannot update resource claim statues')
    if after.get("extendedResourceClaimStatus") != before.get("extendedResourceClaimStatus"):
        raise refused(admission, f'node "{node}" cannot update extended resource claim status')


def _node_of(pod: Document) -> str:
    return (pod.get("spec") or {}).get("nodeName") or ""


def name_of(admission: Admission) -> str:
    """The object's name, from the path or, where it is created, from the body."""
    name: str = admission.name or ((admission.object or {}).get("metadata") or {}).get("name", "")
    return name


def refused(admission: Admission, detail: str) -> ApiError:
    """The 403 that says why."""
    return forbidden(admission.resource.plural, name_of(admission), detail, group=admission.resource.group)
