"""The roles of Kubernetes' programs, and of ours where they do things in another way.

Source: Kubernetes' rbac/bootstrappolicy (policy.go, namespace_policy.go).
"""

from __future__ import annotations

from .base import ALL, EVENTS, READ, TOUCH, BootstrapBinding, BootstrapRole, Rules, rule

_CERTIFICATES = "certificates.k8s.io"
_LEASES = "coordination.k8s.io"
_READ_UPDATE = f"{READ} patch update"
SCHEDULER, MANAGER, PROXY = (f"User:system:kube-{name}" for name in ("scheduler", "controller-manager", "proxy"))
AUTHENTICATION_READER = "extension-apiserver-authentication-reader"
_REVIEWS = [
    rule("create", "tokenreviews", "authentication.k8s.io"),
    rule("create", "subjectaccessreviews", "authorization.k8s.io"),
]

NODE: Rules = [
    rule("create", "tokenreviews", "authentication.k8s.io"),
    rule("create", "localsubjectaccessreviews subjectaccessreviews", "authorization.k8s.io"),
    rule(READ, "services"),
    rule(f"create {READ}", "nodes"),
    rule("patch update", "nodes/status"),
    rule("patch update", "nodes"),
    rule(TOUCH, "events"),
    rule(READ, "pods"),
    rule("create delete", "pods"),
    rule("patch update", "pods/status"),
    rule("create", "pods/eviction"),
    rule(READ, "configmaps secrets"),
    rule("get", "persistentvolumeclaims persistentvolumes"),
    rule("get", "endpoints"),
    rule(f"create {READ}", "certificatesigningrequests", _CERTIFICATES),
    rule("create delete get patch update", "leases", _LEASES),
    rule("get", "volumeattachments", "storage.k8s.io"),
    rule("create", "serviceaccounts/token"),
    rule("get patch update", "persistentvolumeclaims/status"),
    rule(READ, "csidrivers", "storage.k8s.io"),
    rule("create delete get patch update", "csinodes", "storage.k8s.io"),
    rule(READ, "runtimeclasses", "node.k8s.io"),
    rule("get", "resourceclaims", "resource.k8s.io"),
    rule("deletecollection", "resourceslices", "resource.k8s.io"),
    rule(READ, "clustertrustbundles", _CERTIFICATES),
    rule("get", "serviceaccounts"),
    rule(f"create {READ}", "podcertificaterequests", _CERTIFICATES),
]
"""What any kubelet may do at all; the Node authorizer narrows it to what its own pods need."""

_SCHEDULER: Rules = [
    EVENTS,
    rule("create", "leases", _LEASES),
    rule("get update", "leases", _LEASES, names="kube-scheduler"),
    rule(READ, "nodes"),
    rule(f"{READ} delete", "pods"),
    rule("create", "bindings pods/binding"),
    rule("patch update", "pods/status"),
    rule(READ, "replicationcontrollers services"),
    rule(READ, "replicasets", "apps extensions"),
    rule(READ, "statefulsets", "apps"),
    rule(READ, "poddisruptionbudgets", "policy"),
    rule(READ, "persistentvolumeclaims persistentvolumes"),
    *_REVIEWS,
    rule(READ, "csinodes", "storage.k8s.io"),
    rule(READ, "namespaces"),
    rule(READ, "csidrivers", "storage.k8s.io"),
    rule(READ, "csistoragecapacities", "storage.k8s.io"),
    rule(READ, "volumeattachments", "storage.k8s.io"),
    rule(READ, "deviceclasses resourceclaims", "resource.k8s.io"),
    rule(_READ_UPDATE, "resourceclaims/status", "resource.k8s.io"),
    rule(_READ_UPDATE, "pods/finalizers"),
    rule(READ, "resourceslices", "resource.k8s.io"),
    rule(READ, "devicetaintrules", "resource.k8s.io"),
]
_MANAGER: Rules = [
    EVENTS,
    rule("create", "leases", _LEASES),
    rule("get update", "leases", _LEASES, names="kube-controller-manager"),
    rule("create", "secrets serviceaccounts"),
    rule("delete", "secrets"),
    rule("get", "configmaps namespaces secrets serviceaccounts"),
    rule("update", "secrets serviceaccounts"),
    *_REVIEWS,
    rule("list watch", ALL, ALL),
    rule("create", "serviceaccounts/token"),
]
_PROXIER: Rules = [
    rule("list watch", "endpoints services"),
    rule(READ, "nodes"),
    EVENTS,
    rule("list watch", "servicecidrs", "networking.k8s.io"),
    rule("list watch", "endpointslices", "discovery.k8s.io"),
]
_PROVISIONER: Rules = [
    rule(f"{READ} create delete", "persistentvolumes"),
    rule(f"{READ} update", "persistentvolumeclaims"),
    rule(READ, "storageclasses", "storage.k8s.io"),
    rule("watch", "events"),
    EVENTS,
]
_SIMULATOR: Rules = [
    rule("list watch create patch delete", "nodes"),
    rule("list watch delete", "pods"),
    rule("patch", "nodes/status pods/status"),
]
"""Nodes, all of them, and their pods: whoever plays nodes reads no Secrets and no configuration."""
_HEARTBEATS: Rules = [rule("create patch", "leases", _LEASES)]


def _approver(name: str, signer: str) -> BootstrapRole:
    rules = [rule("approve", "signers", _CERTIFICATES, names=f"kubernetes.io/{signer}")]
    return BootstrapRole(f"system:{_CERTIFICATES}:{name}-approver", rules)


def _requester(name: str) -> BootstrapRole:
    resource = f"certificatesigningrequests/{name}"
    rules = [rule("create", resource, _CERTIFICATES)]
    return BootstrapRole(f"system:{_CERTIFICATES}:certificatesigningrequests:{name}", rules)


def _leader_lock(name: str) -> BootstrapRole:
    rules = [rule("watch", "configmaps"), rule("get update", "configmaps", names=name)]
    return BootstrapRole(f"system::leader-locking-{name}", rules, namespace="kube-system")


ROLES: tuple[BootstrapRole, ...] = (
    BootstrapRole("system:node", NODE),
    BootstrapRole("system:node-problem-detector", [rule("get", "nodes"), rule("patch", "nodes/status"), EVENTS]),
    BootstrapRole(
        "system:heapster",
        [rule(READ, "events namespaces nodes pods"), rule(READ, "deployments", "extensions")],
    ),
    BootstrapRole(
        "system:kubelet-api-admin",
        [
            rule(READ, "nodes"),
            rule("proxy", "nodes"),
            rule(ALL, "nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats"),
        ],
    ),
    BootstrapRole("system:node-bootstrapper", [rule(f"create {READ}", "certificatesigningrequests", _CERTIFICATES)]),
    BootstrapRole("system:auth-delegator", _REVIEWS),
    BootstrapRole("system:kube-aggregator", [rule(READ, "endpoints services")]),
    BootstrapRole("system:kube-controller-manager", _MANAGER),
    BootstrapRole("system:kube-scheduler", _SCHEDULER),
    BootstrapRole(
        "system:volume-scheduler",
        [
            rule(_READ_UPDATE, "persistentvolumes"),
            rule(READ, "storageclasses", "storage.k8s.io"),
            rule(_READ_UPDATE, "persistentvolumeclaims"),
        ],
    ),
    BootstrapRole("system:kube-dns", [rule("list watch", "endpoints services")]),
    BootstrapRole("system:node-proxier", _PROXIER),
    BootstrapRole("system:persistent-volume-provisioner", _PROVISIONER),
    _requester("nodeclient"),
    _requester("selfnodeclient"),
    _approver("legacy-unknown", "legacy-unknown"),
    _approver("kubelet-serving", "kubelet-serving"),
    _approver("kube-apiserver-client", "kube-apiserver-client"),
    _approver("kube-apiserver-client-kubelet", "kube-apiserver-client-kubelet"),
    BootstrapRole("system:cluster-trust-bundle-discovery", [rule(READ, "clustertrustbundles", _CERTIFICATES)]),
    BootstrapRole(
        AUTHENTICATION_READER,
        [rule(READ, "configmaps", names="extension-apiserver-authentication")],
        namespace="kube-system",
    ),
    _leader_lock("kube-controller-manager"),
    _leader_lock("kube-scheduler"),
    # Ours elect their leader by patching its Lease.
    BootstrapRole(
        "k8slite:leader-election",
        [rule("get patch", "leases", _LEASES, names="kube-controller-manager kube-scheduler")],
        namespace="kube-system",
    ),
    BootstrapRole(
        "k8slite:cluster-dns",
        [rule(READ, "endpoints namespaces pods services"), rule(READ, "endpointslices", "discovery.k8s.io")],
    ),
    BootstrapRole(
        "k8slite:cluster-dns",
        [
            rule(f"get {TOUCH}", "configmaps endpoints services"),
            rule(f"get {TOUCH}", "endpointslices", "discovery.k8s.io"),
        ],
        namespace="kube-system",
    ),
    BootstrapRole("k8slite:simulator", _SIMULATOR),
    BootstrapRole("k8slite:simulator", _HEARTBEATS, namespace="kube-node-lease"),
)

_ACCOUNTS = "Group:system:serviceaccounts"


def _locks(name: str) -> BootstrapBinding:
    subjects = (f"User:system:{name}", f"ServiceAccount:kube-system/{name}")
    return BootstrapBinding(f"system::leader-locking-{name}", subjects, namespace="kube-system", role_kind="Role")


BINDINGS: tuple[BootstrapBinding, ...] = (
    # Nobody by default: kubelets have the Node authorizer.
    BootstrapBinding("system:node", ()),
    BootstrapBinding("system:kube-scheduler", (SCHEDULER,)),
    BootstrapBinding("system:volume-scheduler", (SCHEDULER,)),
    BootstrapBinding("system:kube-controller-manager", (MANAGER,)),
    BootstrapBinding("system:node-proxier", (PROXY,)),
    BootstrapBinding("system:kube-dns", ("ServiceAccount:kube-system/kube-dns",)),
    BootstrapBinding("system:cluster-trust-bundle-discovery", (_ACCOUNTS,)),
    BootstrapBinding(
        f"system::{AUTHENTICATION_READER}",
        (MANAGER, SCHEDULER),
        namespace="kube-system",
        role=AUTHENTICATION_READER,
        role_kind="Role",
    ),
    _locks("kube-controller-manager"),
    _locks("kube-scheduler"),
    BootstrapBinding("k8slite:leader-election", (MANAGER, SCHEDULER), namespace="kube-system", role_kind="Role"),
    BootstrapBinding("k8slite:cluster-dns", (PROXY,)),
    BootstrapBinding("k8slite:cluster-dns", (PROXY,), namespace="kube-system", role_kind="Role"),
    BootstrapBinding("k8slite:simulator", ("Group:k8slite:simulators",)),
    BootstrapBinding("k8slite:simulator", ("Group:k8slite:simulators",), namespace="kube-node-lease", role_kind="Role"),
)
