"""The Node authorizer: what a kubelet may do, which is little more than its own node's pods need.

A node reads Secrets, ConfigMaps and claims only if a pod that is bound to it names them (`node_graph.py`), asks for
tokens only of its pods' service accounts, and lists pods by its own name only. What it may do to objects whose content
matters `admission/node_restriction.py` says.

Source: Kubernetes documentation, "Using Node Authorization"; plugin/pkg/auth/authorizer/node/node_authorizer.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from k8slite import local_volumes

from ..authn.base import User
from ..lookup import Objects
from ..policy.components import NODE
from . import rules
from .base import Attributes, Decision, Held
from .node_graph import NodeGraph

_PREFIX = "system:node:"
_GROUP = "system:nodes"
_LEASES = "kube-node-lease"
_OWN_VERBS = ("get", "create", "update", "patch", "delete")

Opinion = tuple[Decision, str]
_ALLOW: Opinion = (Decision.ALLOW, "")
_NONE: Opinion = (Decision.NO_OPINION, "")


def is_node(user: User) -> bool:
    """Whether a user is a kubelet, of whatever node."""
    return user.name.startswith(_PREFIX) and _GROUP in user.groups


def node_of(user: User) -> str:
    """The node that a user is the kubelet of, empty for other users."""
    return user.name.removeprefix(_PREFIX) if is_node(user) else ""


RULES = rules.parse(NODE)
"""What does not depend on the pods."""


class NodeAuthorizer:
    """Answers for kubelets; has no opinion on anyone else."""

    def __init__(self, objects: Objects) -> None:
        self._graph = NodeGraph(objects)
        self._judges: Mapping[tuple[str, str], Callable[[str, Attributes], Opinion]] = {
            ("", "secrets"): self._readable,
            ("", "configmaps"): self._readable,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): self._volume,
            ("", "serviceaccounts"): self._account,
            ("", "nodes"): _node,
            ("", "pods"): self._pod,
            ("resource.k8s.io", "resourceclaims"): self._single,
            ("resource.k8s.io", "resourceslices"): self._slice,
            ("storage.k8s.io", "volumeattachments"): self._single,
            ("storage.k8s.io", "csinodes"): _csi_node,
            ("coordination.k8s.io", "leases"): _lease,
            ("certificates.k8s.io", "podcertificaterequests"): self._certificate,
        }

    async def authorize(self, attributes: Attributes) -> Opinion:
        """ALLOW, or NO_OPINION with the reason; other authorizers may still allow it."""
        if not is_node(attributes.user):
            return _NONE
        node = node_of(attributes.user)
        if not node:
            return _no(f'unknown node for user "{attributes.user.name}"')
        judge = self._judges.get((attributes.group, attributes.resource))
        if judge is not None:
            return judge(node, attributes)
        return _ALLOW if _allowed_to_all(attributes) else _NONE

    def held(self, user: User, namespace: str) -> Held:
        """Nothing that could be listed: it depends on the pods."""
        if not is_node(user):
            return Held()
        return Held(problems=("node authorizer does not support user rule resolution",), incomplete=True)

    def _readable(self, node: str, asked: Attributes) -> Opinion:
        if asked.verb not in ("get", "list", "watch"):
            return _no("can only read resources of this type")
        if asked.subresource:
            return _no("cannot read subresource")
        if not asked.namespace:
            return _no("can only read namespaced object of this type")
        return self._related(node, asked)

    def _single(self, node: str, asked: Attributes) -> Opinion:
        if asked.verb != "get":
            return _no("can only get individual resources of this type")
        return _no("cannot get subresource") if asked.subresource else self._related(node, asked)

    def _volume(self, node: str, asked: Attributes) -> Opinion:
        """Those of its pods' claims, and those whose data it keeps: it follows them, and lets them go at the end."""
        if asked.verb in ("list", "watch") and _keeps(node, asked):
            return _ALLOW
        if asked.verb in ("get", "patch", "update") and not asked.subresource and self._graph.keeps(node, asked.name):
            return _ALLOW
        return self._single(node, asked)

    def _claim(self, node: str, asked: Attributes) -> Opinion:
        if asked.subresource != "status":
            return self._single(node, asked)
        if asked.verb not in ("update", "patch"):
            return _no("can only get/update/patch this type")
        return self._related(node, asked)

    def _account(self, node: str, asked: Attributes) -> Opinion:
        if asked.verb == "get" and not asked.subresource:
            return self._related(node, asked)
        if asked.verb != "create" or not asked.name:
            return _no("can only create tokens for individual service accounts")
        if asked.subresource != "token":
            return _no("can only create token subresource of serviceaccount")
        return self._related(node, asked)

    def _pod(self, node: str, asked: Attributes) -> Opinion:
        match asked.subresource, asked.verb:
            case "", "get":
                return self._related(node, asked)
            case "", ("list" | "watch"):
                if asked.fields.value_of("spec.nodeName") == node:
                    return _ALLOW
                if asked.name:
                    return self._related(node, asked)
                return _no("can only list/watch pods with spec.nodeName field selector")
            case ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create"):
                return _ALLOW
        return _NONE

    def _slice(self, node: str, asked: Attributes) -> Opinion:
        if asked.subresource:
            return _no("cannot authorize ResourceSlice subresources")
        match asked.verb:
            case "create":
                return _ALLOW
            case "get" | "update" | "patch" | "delete":
                return self._related(node, asked)
            case "list" | "watch" | "deletecollection":
                if asked.fields.value_of("spec.nodeName") == node:
                    return _ALLOW
                return _no("can only list/watch/deletecollection resourceslices with nodeName field selector")
        return _no(
            "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete,"
            " deletecollection"
        )

    def _certificate(self, node: str, asked: Attributes) -> Opinion:
        if asked.subresource:
            return _no("nodes may not access the podcertificaterequests subresources")
        match asked.verb:
            case "create":
                return _ALLOW
            case "get":
                return self._related(node, asked)
            case "list" | "watch":
                if asked.fields.value_of("spec.nodeName") == node:
                    return _ALLOW
                return _no("can only list/watch podcertificaterequests with nodeName field selector")
        return _no("only the following verbs are allowed for a PodCertificateRequest: create, get, list, watch")

    def _related(self, node: str, asked: Attributes) -> Opinion:
        if not asked.name:
            return _no("No Object name found")
        if self._graph.leads(node, asked.resource, namespace=asked.namespace, name=asked.name):
            return _ALLOW
        return _no(f"no relationship found between node '{node}' and this object")


def _keeps(node: str, asked: Attributes) -> bool:
    """Whether no volumes are asked for but those whose data the node keeps."""
    return any(
        each.key == local_volumes.NODE and each.operator == "In" and each.values == frozenset({node})
        for each in asked.labels.requirements
    )


def _no(reason: str) -> Opinion:
    return Decision.NO_OPINION, reason


def _allowed_to_all(asked: Attributes) -> bool:
    kind = {"verb": asked.verb, "group": asked.group, "resource": asked.resource, "subresource": asked.subresource}
    return asked.is_resource and any(rule.allows_kind(**kind) for rule in RULES)


def _node(node: str, asked: Attributes) -> Opinion:
    match asked.subresource, asked.verb:
        case ("", "create" | "update" | "patch") | ("status", "update" | "patch"):
            return _ALLOW
        case "", ("get" | "list" | "watch"):
            if asked.name == node:
                return _ALLOW
            whole = f"node '{node}' cannot read all nodes, only its own Node object"
            return _no(f"node '{node}' cannot read '{asked.name}', only its own Node object" if asked.name else whole)
    return _NONE


def _lease(node: str, asked: Attributes) -> Opinion:
    if asked.verb not in _OWN_VERBS:
        return _no("can only get, create, update, patch, or delete a node lease")
    if asked.namespace != _LEASES:
        return _no(f'can only access leases in the "{_LEASES}" system namespace')
    # The name of an object that is created may stand in its body alone; admission compares it.
    if asked.verb != "create" and asked.name != node:
        return _no("can only access node lease with the same name as the requesting node")
    return _ALLOW


def _csi_node(node: str, asked: Attributes) -> Opinion:
    if asked.verb not in _OWN_VERBS:
        return _no("can only get, create, update, patch, or delete a CSINode")
    if asked.subresource:
        return _no("cannot authorize CSINode subresources")
    if asked.verb != "create" and asked.name != node:
        return _no("can only access CSINode with the same name as the requesting node")
    return _ALLOW
