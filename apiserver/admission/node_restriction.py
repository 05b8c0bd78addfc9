"""NodeRestriction: a kubelet writes its own node, its own pods' status, its own lease, and nothing about others.

It works with the Node authorizer, which says what a kubelet may read and which verbs it has. It judges what the kubelet
sent, before other plugins change it, as others may well do what a kubelet may not.

Source: Kubernetes documentation, "Admission Controllers: NodeRestriction"; plugin/pkg/admission/noderestriction.
"""

from __future__ import annotations

from k8slite.errors import not_found

from ..authz.base import Authorizer
from ..authz.node import is_node, node_of
from ..authz.node_graph import MIRROR
from ..strategies.base import Document
from . import node_labels, node_pods, node_tokens, node_volumes, simulated_nodes
from .base import Admission, Operation, Plugin
from .node_pods import refused

_LEASES = "kube-node-lease"
_NAMED = {
    "leases": "can only access node lease with the same name as the requesting node",
    "csinodes": "can only access CSINode with the same name as the requesting node",
}


class NodeRestriction(Plugin):
    """Refuses; changes nothing."""

    operations = frozenset[Operation]({"CREATE", "UPDATE", "DELETE"})
    kinds = frozenset(
        {
            ("", "pods"),
            ("", "nodes"),
            ("", "persistentvolumeclaims"),
            ("", "persistentvolumes"),
            ("", "serviceaccounts"),
            ("coordination.k8s.io", "leases"),
            ("storage.k8s.io", "csinodes"),
            ("resource.k8s.io", "resourceslices"),
            ("certificates.k8s.io", "podcertificaterequests"),
        }
    )

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def mutate(self, admission: Admission) -> None:
        """Raise ApiError 403 for what is not the kubelet's own, or not the simulator's."""
        user = admission.context.user
        if not is_node(user):
            if simulated_nodes.GROUP in user.groups:
                simulated_nodes.check(admission)
            return
        node = node_of(user)
        if not node:
            raise refused(admission, f'could not determine node from user "{user.name}"')
        match admission.resource.plural:
            case "pods":
                node_pods.check(admission, node)
            case "nodes":
                _node(admission, node)
            case "persistentvolumeclaims":
                _claim(admission, node)
            case "persistentvolumes":
                node_volumes.check(admission, node)
            case "serviceaccounts":
                await node_tokens.check(admission, node, self._authorizer)
            case "leases" | "csinodes" as plural:
                if plural == "leases" and admission.namespace != _LEASES:
                    raise refused(admission, f'can only access leases in the "{_LEASES}" system namespace')
                if node_pods.name_of(admission) != node:
                    raise refused(admission, _NAMED[plural])
            case "resourceslices":
                _slice(admission, node)
            case _:
                _certificate(admission, node)


def _node(admission: Admission, node: str) -> None:
    named = node_pods.name_of(admission)
    if named != node:
        raise refused(admission, f'node "{node}" is not allowed to modify node "{named}"')
    if admission.object is None:
        return
    new, old = admission.object, admission.old
    source = (new.get("spec") or {}).get("configSource")
    if old is None:
        if source is not None:
            raise refused(admission, f'node "{node}" is not allowed to create pods with a non-nil configSource')
        if forbidden := node_labels.refused(new, None):
            detail = f'node "{node}" is not allowed to set the following labels: {", ".join(forbidden)}'
            raise refused(admission, detail)
        return
    if source is not None and source != (old.get("spec") or {}).get("configSource"):
        raise refused(admission, f'node "{node}" is not allowed to update configSource to a new non-nil configSource')
    if _taints(new) != _taints(old):
        raise refused(admission, f'node "{node}" is not allowed to modify taints')
    # An owner that does not exist makes the garbage collector delete the node (CVE-2025-5187).
    if (new["metadata"].get("ownerReferences") or []) != (old["metadata"].get("ownerReferences") or []):
        raise refused(admission, f'node "{node}" is not allowed to modify ownerReferences')
    if forbidden := node_labels.refused(new, old):
        raise refused(admission, f"is not allowed to modify labels: {', '.join(forbidden)}")


def _taints(node: Document) -> object:
    return (node.get("spec") or {}).get("taints") or []


def _claim(admission: Admission, node: str) -> None:
    if admission.subresource != "status":
        raise refused(admission, "may only update PVC status")
    if admission.operation != "UPDATE" or admission.object is None or admission.old is None:
        raise refused(admission, f'unexpected operation "{admission.operation}"')
    if _without_sizes(admission.object) != _without_sizes(admission.old):
        detail = f'node "{node}" is not allowed to update fields other than status.capacity and status.conditions'
        raise refused(admission, detail)


def _without_sizes(claim: Document) -> Document:
    free = {"capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"}
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in free}
    metadata = {k: v for k, v in claim["metadata"].items() if k not in ("managedFields", "resourceVersion")}
    return {**claim, "metadata": metadata, "status": status}


def _slice(admission: Admission, node: str) -> None:
    for word, document, operation in (("create", admission.object, "CREATE"), ("delete", admission.old, "DELETE")):
        if admission.operation == operation and ((document or {}).get("spec") or {}).get("nodeName") != node:
            detail = f"can only {word} ResourceSlice with the same NodeName as the requesting node"
            raise refused(admission, detail)


def _certificate(admission: Admission, node: str) -> None:
    """A node asks for certificates of pods that run on it, and says of them what is so."""
    if admission.operation != "CREATE" or admission.object is None:
        return
    spec, lookup = admission.object.get("spec") or {}, admission.context.lookup
    if spec.get("nodeName") != node:
        detail = f'PodCertificateRequest.Spec.NodeName="{spec.get("nodeName", "")}", which is not the requesting node'
        raise refused(admission, f'{detail} "{node}"')
    name = spec.get("podName") or ""
    pod = lookup("", "pods", admission.namespace, name)
    if pod is None:
        raise not_found("pods", name)
    running = pod.get("spec") or {}
    if running.get("nodeName") != node:
        detail = f'PodCertificateRequest for pod "{name}" names a pod that does not run on node "{node}"'
        raise refused(admission, detail)
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        raise refused(admission, f'PodCertificateRequest for pod "{name}": mirror pods have no certificates')
    account = running.get("serviceAccountName") or "default"
    facts = (
        ("podUID", pod["metadata"].get("uid")),
        ("serviceAccountName", account),
        ("serviceAccountUID", _uid(lookup("", "serviceaccounts", admission.namespace, account))),
        ("nodeUID", _uid(lookup("", "nodes", "", node))),
    )
    for field, actual in facts:
        if spec.get(field) != actual:
            said = spec.get(field) or ""
            detail = f'PodCertificateRequest for pod "{name}" contains {field} ("{said}") which differs from "{actual}"'
            raise refused(admission, detail)


def _uid(document: Document | None) -> str | None:
    return document["metadata"].get("uid") if document is not None else None
