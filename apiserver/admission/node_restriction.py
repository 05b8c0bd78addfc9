"""NodeRestriction: a kubelet writes its own node, its own pods' status, its own lease, and nothing about others.

It works with the Node authorizer, which says what a kubelet may read and which verbs it has.

Source: Kubernetes documentation, "Admission Controllers: NodeRestriction".
"""

from __future__ import annotations

from k8slite.errors import ApiError, forbidden

from ..authz.node import node_of, references
from ..strategies.base import Document
from .base import Admission, Operation, Plugin

_MIRROR = "kubernetes.io/config.mirror"
_RESTRICTED = "node-restriction.kubernetes.io"
_ALLOWED_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_ALLOWED_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)


class NodeRestriction(Plugin):
    """Refuses; changes nothing."""

    operations = frozenset[Operation]({"CREATE", "UPDATE", "DELETE"})

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for what is not the kubelet's own."""
        node = node_of(admission.context.user)
        if not node:
            return
        match admission.resource.group, admission.resource.plural, admission.subresource:
            case "", "pods", "":
                _pod(admission, node)
            case "", "pods", "status":
                _pod_status(admission, node)
            case "", "pods", "eviction":
                _own_pod(admission, node, admission.context.lookup("", "pods", admission.namespace, admission.name))
            case "", "nodes", _:
                _node(admission, node)
            case "", "serviceaccounts", "token":
                _token(admission, node)
            case ("coordination.k8s.io", "leases", _) | ("storage.k8s.io", "csinodes", _):
                if _name(admission) != node:
                    raise _refused(admission, f'node "{node}" can only access its own {admission.resource.plural}')
            case _:
                return


def _pod(admission: Admission, node: str) -> None:
    match admission.operation:
        case "CREATE":
            pod = admission.object or {}
            if _MIRROR not in (pod["metadata"].get("annotations") or {}):
                raise _refused(
                    admission, f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror pods'
                )
            _own_pod(admission, node, pod)
            named = [name for plural, name in references(pod) if plural != "serviceaccounts"]
            if named or (pod.get("spec") or {}).get("serviceAccountName"):
                raise _refused(admission, f'node "{node}" can not create pods that reference other API objects')
        case "DELETE":
            _own_pod(admission, node, admission.old)
        case _:
            raise _refused(admission, f'node "{node}" can only update pod status')


def _pod_status(admission: Admission, node: str) -> None:
    _own_pod(admission, node, admission.old)
    new, old = admission.object or {}, admission.old or {}
    if (new["metadata"].get("labels") or {}) != (old["metadata"].get("labels") or {}):
        raise _refused(admission, f'node "{node}" cannot update labels through pod status')


def _own_pod(admission: Admission, node: str, pod: Document | None) -> None:
    if pod is not None and (pod.get("spec") or {}).get("nodeName") != node:
        raise _refused(
            admission, f'node "{node}" can only {_WORD[admission.operation]} pods with spec.nodeName set to itself'
        )


_WORD = {"CREATE": "create", "UPDATE": "update", "DELETE": "delete", "CONNECT": "connect to"}


def _node(admission: Admission, node: str) -> None:
    if _name(admission) != node:
        raise _refused(admission, f'node "{node}" is not allowed to modify node "{_name(admission)}"')
    if admission.operation == "DELETE" or admission.object is None:
        return
    new, old = admission.object, admission.old or {}
    if admission.operation == "UPDATE" and not admission.subresource and _taints(new) != _taints(old):
        raise _refused(admission, f'node "{node}" is not allowed to modify taints')
    labels = new["metadata"].get("labels") or {}
    before = (old.get("metadata") or {}).get("labels") or {}
    changed = {key for key in labels.keys() | before.keys() if labels.get(key) != before.get(key)}
    if refused := sorted(key for key in changed if not _label_allowed(key)):
        raise _refused(admission, f"is not allowed to modify labels: {', '.join(refused)}")


def _taints(node: Document) -> object:
    return (node.get("spec") or {}).get("taints") or []


def _label_allowed(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    if domain == _RESTRICTED or domain.endswith(f".{_RESTRICTED}"):
        return False
    if not any(domain == reserved or domain.endswith(f".{reserved}") for reserved in ("kubernetes.io", "k8s.io")):
        return True
    return key in _ALLOWED_LABELS or any(
        domain == allowed or domain.endswith(f".{allowed}") for allowed in _ALLOWED_DOMAINS
    )


def _token(admission: Admission, node: str) -> None:
    reference = ((admission.object or {}).get("spec") or {}).get("boundObjectRef") or {}
    if reference.get("kind") != "Pod" or not reference.get("name"):
        raise _refused(admission, f'node "{node}" can only create tokens bound to pods')
    if not reference.get("uid"):
        raise _refused(admission, f'node "{node}" can only create tokens bound to pods with a UID')
    pod = admission.context.lookup("", "pods", admission.namespace, reference["name"])
    if pod is None or pod["metadata"].get("uid") != reference["uid"]:
        raise _refused(admission, f'node "{node}" can only create tokens bound to existing pods')
    if (pod.get("spec") or {}).get("nodeName") != node:
        raise _refused(admission, f'node "{node}" can only create tokens bound to pods running on it')


def _name(admission: Admission) -> str:
    name: str = admission.name or ((admission.object or {}).get("metadata") or {}).get("name", "")
    return name


def _refused(admission: Admission, detail: str) -> ApiError:
    return forbidden(admission.resource.plural, _name(admission), detail, group=admission.resource.group)
