"""The Node authorizer: what a kubelet may do, which is little more than its own node's pods need.

A node reads Secrets, ConfigMaps and claims only if a pod that is bound to it names them, and asks for tokens only of
its pods' service accounts. `admission/node_restriction.py` holds the other half: which objects it may write.

What a pod names hardly ever changes, so it is read once for each revision of the pod.

Source: Kubernetes documentation, "Using Node Authorization".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8slite.selectors import FieldRequirement, FieldSelector

from ..authn.base import User
from ..lookup import Objects
from ..strategies.base import Document
from .base import Attributes, Decision
from .rules import Rule

_PREFIX = "system:node:"
_GROUP = "system:nodes"
_LEASES = "kube-node-lease"

Reference = tuple[str, str]
"""Plural and name of an object in the pod's namespace."""


def node_of(user: User) -> str:
    """The node that a user is the kubelet of, empty for other users."""
    if user.name.startswith(_PREFIX) and _GROUP in user.groups:
        return user.name.removeprefix(_PREFIX)
    return ""


def _rule(verbs: str, resources: str, group: str = "") -> Rule:
    return Rule(frozenset(verbs.split()), frozenset({group}), frozenset(resources.split()))


_READ = "get list watch"
RULES: tuple[Rule, ...] = (
    _rule("create", "tokenreviews", "authentication.k8s.io"),
    _rule("create", "subjectaccessreviews localsubjectaccessreviews", "authorization.k8s.io"),
    _rule(_READ, "services"),
    _rule(f"create {_READ}", "nodes"),
    _rule("update patch", "nodes nodes/status"),
    _rule(f"create delete {_READ}", "pods"),
    _rule("update patch", "pods/status"),
    _rule("create", "pods/eviction"),
    _rule("create update patch", "events"),
    _rule("create update patch", "events", "events.k8s.io"),
    _rule("create get list watch", "certificatesigningrequests", "certificates.k8s.io"),
    _rule(_READ, "runtimeclasses", "node.k8s.io"),
    _rule(_READ, "csidrivers", "storage.k8s.io"),
    _rule("get", "volumeattachments", "storage.k8s.io"),
    _rule("get update patch", "persistentvolumeclaims/status"),
)
"""What does not depend on the pods. Writes to nodes and pods are narrowed by admission."""


class NodeAuthorizer:
    """Answers for kubelets; has no opinion on anyone else."""

    def __init__(self, objects: Objects) -> None:
        self._pods = objects.resource("", "pods")
        self._claims = objects.resource("", "persistentvolumeclaims")
        self._read: dict[str, dict[str, tuple[int, frozenset[Reference]]]] = {}

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """ALLOW, or NO_OPINION with the reason; other authorizers may still allow it."""
        node = node_of(attributes.user)
        if not node or not attributes.is_resource:
            return Decision.NO_OPINION, ""
        match attributes.group, attributes.resource, attributes.subresource:
            case "", ("secrets" | "configmaps" | "persistentvolumeclaims") as plural, "":
                return self._referred(node, attributes, plural, verbs=_verbs(plural))
            case "", "persistentvolumes", "":
                return self._volume(node, attributes)
            case "", "serviceaccounts", "token":
                return self._referred(node, attributes, "serviceaccounts", verbs=("create",))
            case "", "serviceaccounts", "":
                return self._referred(node, attributes, "serviceaccounts", verbs=("get",))
            case "coordination.k8s.io", "leases", "":
                return _own(node, attributes, namespace=_LEASES, verbs=("get", "create", "update", "patch", "delete"))
            case "storage.k8s.io", "csinodes", "":
                return _own(node, attributes, namespace="", verbs=("get", "create", "update", "patch", "delete"))
        for rule in RULES:
            if rule.allows_kind(
                verb=attributes.verb,
                group=attributes.group,
                resource=attributes.resource,
                subresource=attributes.subresource,
            ):
                return Decision.ALLOW, ""
        return Decision.NO_OPINION, ""

    def _referred(
        self, node: str, attributes: Attributes, plural: str, *, verbs: tuple[str, ...]
    ) -> tuple[Decision, str]:
        if attributes.verb not in verbs:
            return Decision.NO_OPINION, f"can only {'/'.join(verbs)} resources of this type"
        if not attributes.name or not attributes.namespace:
            return Decision.NO_OPINION, "can only read namespaced object of this type"
        if (plural, attributes.name) in self._references(node, attributes.namespace):
            return Decision.ALLOW, ""
        return Decision.NO_OPINION, _no_relationship(node)

    def _volume(self, node: str, attributes: Attributes) -> tuple[Decision, str]:
        if attributes.verb != "get" or not attributes.name:
            return Decision.NO_OPINION, "can only get individual resources of this type"
        for namespace, claim in self._all_claims(node):
            entry = self._claims.get(namespace, claim)
            if entry is not None and (entry.document.get("spec") or {}).get("volumeName") == attributes.name:
                return Decision.ALLOW, ""
        return Decision.NO_OPINION, _no_relationship(node)

    def _all_claims(self, node: str) -> Iterator[tuple[str, str]]:
        for key, (_, references) in self._by_pod(node).items():
            namespace = key.split("/")[-2]
            for plural, name in references:
                if plural == "persistentvolumeclaims":
                    yield namespace, name

    def _references(self, node: str, namespace: str) -> set[Reference]:
        found: set[Reference] = set()
        for key, (_, references) in self._by_pod(node).items():
            if key.split("/")[-2] == namespace:
                found |= references
        return found

    def _by_pod(self, node: str) -> dict[str, tuple[int, frozenset[Reference]]]:
        known = self._read.get(node, {})
        current: dict[str, tuple[int, frozenset[Reference]]] = {}
        for entry in self._pods.select(fields=FieldSelector((FieldRequirement("spec.nodeName", node, True),))):
            seen = known.get(entry.key)
            if seen is None or seen[0] != entry.revision:
                seen = (entry.revision, frozenset(references(entry.document)))
            current[entry.key] = seen
        self._read[node] = current
        return current


def _verbs(plural: str) -> tuple[str, ...]:
    return ("get",) if plural == "persistentvolumeclaims" else ("get", "list", "watch")


def _own(node: str, attributes: Attributes, *, namespace: str, verbs: tuple[str, ...]) -> tuple[Decision, str]:
    if attributes.verb not in verbs:
        return Decision.NO_OPINION, f"can only {', '.join(verbs)} a {attributes.resource.removesuffix('s')}"
    if attributes.namespace != namespace:
        return Decision.NO_OPINION, f'can only access leases in the "{namespace}" system namespace'
    # The name of an object being created may stand in its body alone; admission compares it.
    if attributes.name != node and not (attributes.verb == "create" and not attributes.name):
        return (
            Decision.NO_OPINION,
            f"can only access {attributes.resource.removesuffix('s')} with the same name as the requesting node",
        )
    return Decision.ALLOW, ""


def _no_relationship(node: str) -> str:
    return f"no relationship found between node '{node}' and this object"


def references(pod: Document) -> Iterator[Reference]:
    """The Secrets, ConfigMaps, claims and the service account that a pod names."""
    spec: dict[str, Any] = pod.get("spec") or {}
    yield "serviceaccounts", spec.get("serviceAccountName") or "default"
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume, pod)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _of_projection(source)
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from _of_container(container)


def _of_volume(volume: dict[str, Any], pod: Document) -> Iterator[Reference]:
    if secret := volume.get("secret"):
        yield "secrets", secret.get("secretName", "")
    if config := volume.get("configMap"):
        yield "configmaps", config.get("name", "")
    if claim := volume.get("persistentVolumeClaim"):
        yield "persistentvolumeclaims", claim.get("claimName", "")
    if volume.get("ephemeral"):
        yield "persistentvolumeclaims", f"{pod['metadata']['name']}-{volume['name']}"
    for driver in ("csi", "flexVolume", "cephfs", "rbd", "iscsi", "scaleIO", "storageos"):
        source = volume.get(driver) or {}
        secret = source.get("nodePublishSecretRef" if driver == "csi" else "secretRef") or {}
        if secret.get("name"):
            yield "secrets", secret["name"]


def _of_projection(source: dict[str, Any]) -> Iterator[Reference]:
    if secret := source.get("secret"):
        yield "secrets", secret.get("name", "")
    if config := source.get("configMap"):
        yield "configmaps", config.get("name", "")


def _of_container(container: dict[str, Any]) -> Iterator[Reference]:
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if secret := source.get("secretKeyRef"):
            yield "secrets", secret.get("name", "")
        if config := source.get("configMapKeyRef"):
            yield "configmaps", config.get("name", "")
    for source in container.get("envFrom") or ():
        if secret := source.get("secretRef"):
            yield "secrets", secret.get("name", "")
        if config := source.get("configMapRef"):
            yield "configmaps", config.get("name", "")
