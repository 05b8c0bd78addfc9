"""The roles and bindings that every cluster starts with. Data only; `bootstrap.py` writes it.

A rule is written `_rule(verbs, resources, group)`, several groups separated by spaces, the core group as `core`.

Source: Kubernetes documentation, "Using RBAC Authorization: Default roles and role bindings".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .authz.node import RULES as NODE_RULES
from .authz.rules import aggregate

Rules = list[dict[str, Any]]

_READ = "get list watch"
_CHANGE = "create delete deletecollection patch update"
_TOUCH = "create patch update"
_ALL = "*"


def _rule(verbs: str, resources: str, groups: str = "core", *, names: str = "") -> dict[str, Any]:
    rule: dict[str, Any] = {
        "verbs": verbs.split(),
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
    }
    return rule | ({"resourceNames": names.split()} if names else {})


def _urls(paths: str, verbs: str = "get") -> dict[str, Any]:
    return {"verbs": verbs.split(), "nonResourceURLs": paths.split()}


@dataclass(frozen=True, slots=True)
class BootstrapRole:
    """A ClusterRole, or (with a namespace) a Role. `aggregates` names the label by which it gathers others."""

    name: str
    rules: Rules
    namespace: str = ""
    labels: tuple[str, ...] = ()
    aggregates: str = ""


@dataclass(frozen=True, slots=True)
class BootstrapBinding:
    """A binding to the role of the same name (or `role`), in the role's namespace. Subjects: `User:x`, `Group:x`,
    `ServiceAccount:namespace/x`.
    """

    name: str
    subjects: tuple[str, ...]
    namespace: str = ""
    role: str = ""
    role_kind: str = "ClusterRole"


_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
TO_ADMIN, TO_EDIT, TO_VIEW = (_AGGREGATE + word for word in ("admin", "edit", "view"))
_EVENTS = _rule(_TOUCH, "events", "core events.k8s.io")
_LEASES = _rule(f"{_READ} {_TOUCH}", "leases", "coordination.k8s.io")

_VIEW: Rules = [
    _rule(
        _READ,
        "bindings configmaps endpoints events limitranges namespaces namespaces/status persistentvolumeclaims"
        " persistentvolumeclaims/status pods pods/log pods/status replicationcontrollers replicationcontrollers/scale"
        " replicationcontrollers/status resourcequotas resourcequotas/status serviceaccounts services services/status",
    ),
    _rule(_READ, "endpointslices", "discovery.k8s.io"),
    _rule(_READ, "events", "events.k8s.io"),
    _rule(
        _READ,
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets"
        " replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
        "apps",
    ),
    _rule(_READ, "horizontalpodautoscalers horizontalpodautoscalers/status", "autoscaling"),
    _rule(_READ, "cronjobs cronjobs/status jobs jobs/status", "batch"),
    _rule(_READ, "poddisruptionbudgets poddisruptionbudgets/status", "policy"),
    _rule(_READ, "ingresses ingresses/status networkpolicies", "networking.k8s.io"),
    _rule(_READ, "resourceclaims resourceclaims/status resourceclaimtemplates", "resource.k8s.io"),
]
_EDIT: Rules = [
    _rule(_READ, "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    _rule("impersonate", "serviceaccounts"),
    _rule(
        _CHANGE,
        "configmaps endpoints persistentvolumeclaims pods pods/attach pods/exec pods/portforward pods/proxy"
        " replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy",
    ),
    _rule("create", "pods/eviction serviceaccounts/token"),
    _rule(_TOUCH, "events", "core events.k8s.io"),
    _rule(_CHANGE, "endpointslices", "discovery.k8s.io"),
    _rule(
        _CHANGE,
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets"
        " statefulsets/scale",
        "apps",
    ),
    _rule(_CHANGE, "horizontalpodautoscalers", "autoscaling"),
    _rule(_CHANGE, "cronjobs jobs", "batch"),
    _rule(_CHANGE, "poddisruptionbudgets", "policy"),
    _rule(_CHANGE, "ingresses networkpolicies", "networking.k8s.io"),
    _rule(_CHANGE, "resourceclaims resourceclaimtemplates", "resource.k8s.io"),
    _rule(f"{_READ} {_CHANGE}", "leases", "coordination.k8s.io"),
]
_ADMIN: Rules = [
    _rule("create", "localsubjectaccessreviews", "authorization.k8s.io"),
    _rule(f"{_READ} {_CHANGE}", "roles rolebindings", "rbac.authorization.k8s.io"),
]

_SCHEDULER: Rules = [
    _EVENTS,
    _LEASES,
    _rule(_READ, "namespaces nodes persistentvolumeclaims persistentvolumes pods replicationcontrollers services"),
    _rule("delete", "pods"),
    _rule("create", "bindings pods/binding"),
    _rule("patch update", "pods/status persistentvolumeclaims persistentvolumes"),
    _rule(_READ, "replicasets statefulsets", "apps"),
    _rule(_READ, "poddisruptionbudgets", "policy"),
    _rule(_READ, "csidrivers csinodes csistoragecapacities storageclasses volumeattachments", "storage.k8s.io"),
    _rule(_READ, "priorityclasses podgroups workloads", "scheduling.k8s.io"),
    _rule(_READ, "deviceclasses resourceclaims resourceslices", "resource.k8s.io"),
    _rule("patch update", "resourceclaims resourceclaims/status", "resource.k8s.io"),
    _rule("create", "tokenreviews", "authentication.k8s.io"),
    _rule("create", "subjectaccessreviews", "authorization.k8s.io"),
]
# One identity runs all controllers. Garbage collection and namespace deletion reach every kind; making new objects is
# allowed for the kinds that controllers make.
_CONTROLLERS: Rules = [
    _rule(f"{_READ} patch update delete deletecollection", _ALL, _ALL),
    _rule(
        "create",
        "configmaps endpoints events namespaces nodes persistentvolumeclaims persistentvolumes pods pods/eviction"
        " replicationcontrollers secrets serviceaccounts serviceaccounts/token services",
    ),
    _rule("create", "controllerrevisions daemonsets deployments replicasets statefulsets", "apps"),
    _rule("create", "jobs", "batch"),
    _rule("create", "endpointslices", "discovery.k8s.io"),
    _rule("create", "events", "events.k8s.io"),
    _rule("create", "leases", "coordination.k8s.io"),
    _rule("create", "ipaddresses servicecidrs", "networking.k8s.io"),
    _rule("create", "resourceclaims", "resource.k8s.io"),
    _rule("create", "volumeattachments", "storage.k8s.io"),
    _rule("create", "certificatesigningrequests", "certificates.k8s.io"),
    _rule("approve sign", "signers", "certificates.k8s.io"),
    _rule("create", "tokenreviews", "authentication.k8s.io"),
    _rule("create", "subjectaccessreviews", "authorization.k8s.io"),
]
_PROXIER: Rules = [
    _EVENTS,
    _rule(_READ, "nodes services endpoints"),
    _rule(_READ, "endpointslices", "discovery.k8s.io"),
    _rule(_READ, "servicecidrs", "networking.k8s.io"),
]
_SIMULATOR: Rules = [
    _EVENTS,
    _LEASES,
    _rule(f"{_READ} {_TOUCH}", "nodes"),
    _rule("patch update", "nodes/status pods/status"),
    _rule(f"{_READ} delete", "pods"),
    _rule(_READ, "configmaps secrets services serviceaccounts persistentvolumeclaims persistentvolumes"),
    _rule("create", "serviceaccounts/token"),
    _rule(_READ, "runtimeclasses", "node.k8s.io"),
    _rule(f"{_READ} {_TOUCH}", "csinodes", "storage.k8s.io"),
]
_DISCOVERY_URLS = "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"

ROLES: tuple[BootstrapRole, ...] = (
    BootstrapRole("cluster-admin", [_rule(_ALL, _ALL, _ALL), _urls(_ALL, _ALL)]),
    BootstrapRole("admin", [], aggregates=TO_ADMIN),
    BootstrapRole("edit", [], aggregates=TO_EDIT, labels=(TO_ADMIN,)),
    BootstrapRole("view", [], aggregates=TO_VIEW, labels=(TO_EDIT,)),
    BootstrapRole("system:aggregate-to-admin", _ADMIN, labels=(TO_ADMIN,)),
    BootstrapRole("system:aggregate-to-edit", _EDIT, labels=(TO_EDIT,)),
    BootstrapRole("system:aggregate-to-view", _VIEW, labels=(TO_VIEW,)),
    BootstrapRole("system:discovery", [_urls(_DISCOVERY_URLS)]),
    BootstrapRole("system:public-info-viewer", [_urls("/healthz /livez /readyz /version /version/")]),
    BootstrapRole(
        "system:basic-user",
        [
            _rule("create", "selfsubjectaccessreviews selfsubjectrulesreviews", "authorization.k8s.io"),
            _rule("create", "selfsubjectreviews", "authentication.k8s.io"),
        ],
    ),
    BootstrapRole(
        "system:monitoring", [_urls("/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*")]
    ),
    BootstrapRole(
        "system:service-account-issuer-discovery",
        [
            _urls(
                "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/"
            )
        ],
    ),
    BootstrapRole(
        "system:auth-delegator",
        [
            _rule("create", "tokenreviews", "authentication.k8s.io"),
            _rule("create", "subjectaccessreviews", "authorization.k8s.io"),
        ],
    ),
    BootstrapRole(
        "system:kubelet-api-admin",
        [
            _rule(_READ, "nodes"),
            _rule("proxy", "nodes"),
            _rule(_ALL, "nodes/log nodes/metrics nodes/proxy nodes/stats nodes/configz nodes/healthz nodes/pods"),
        ],
    ),
    BootstrapRole(
        "system:persistent-volume-provisioner",
        [
            _rule(f"{_READ} create delete", "persistentvolumes"),
            _rule(f"{_READ} update", "persistentvolumeclaims"),
            _rule(_READ, "storageclasses", "storage.k8s.io"),
            _rule("watch", "events"),
            _EVENTS,
        ],
    ),
    BootstrapRole("system:kube-scheduler", _SCHEDULER),
    BootstrapRole("system:kube-controller-manager", _CONTROLLERS),
    BootstrapRole("system:node", [rule.document() for rule in NODE_RULES]),
    BootstrapRole("system:node-proxier", _PROXIER),
    BootstrapRole(
        "k8slite:cluster-dns",
        [
            _rule(_READ, "endpoints namespaces pods services"),
            _rule(_READ, "endpointslices", "discovery.k8s.io"),
        ],
    ),
    BootstrapRole(
        "k8slite:cluster-dns",
        [
            _rule(f"get {_TOUCH}", "configmaps endpoints services"),
            _rule(f"get {_TOUCH}", "endpointslices", "discovery.k8s.io"),
        ],
        namespace="kube-system",
    ),
    BootstrapRole("k8slite:simulator", _SIMULATOR),
    BootstrapRole(
        "extension-apiserver-authentication-reader",
        [_rule(_READ, "configmaps", names="extension-apiserver-authentication")],
        namespace="kube-system",
    ),
)

_EVERYONE, _AUTHENTICATED = "Group:system:unauthenticated", "Group:system:authenticated"
BINDINGS: tuple[BootstrapBinding, ...] = (
    BootstrapBinding("cluster-admin", ("Group:system:masters",)),
    BootstrapBinding("system:discovery", (_AUTHENTICATED,)),
    BootstrapBinding("system:basic-user", (_AUTHENTICATED,)),
    BootstrapBinding("system:public-info-viewer", (_AUTHENTICATED, _EVERYONE)),
    BootstrapBinding("system:monitoring", ("Group:system:monitoring",)),
    BootstrapBinding("system:service-account-issuer-discovery", ("Group:system:serviceaccounts",)),
    BootstrapBinding("system:kube-scheduler", ("User:system:kube-scheduler",)),
    BootstrapBinding("system:kube-controller-manager", ("User:system:kube-controller-manager",)),
    BootstrapBinding("system:node-proxier", ("User:system:kube-proxy",)),
    BootstrapBinding("k8slite:cluster-dns", ("User:system:kube-proxy",)),
    BootstrapBinding("k8slite:cluster-dns", ("User:system:kube-proxy",), namespace="kube-system", role_kind="Role"),
    BootstrapBinding(
        "system::extension-apiserver-authentication-reader",
        ("User:system:kube-controller-manager", "User:system:kube-scheduler"),
        namespace="kube-system",
        role="extension-apiserver-authentication-reader",
        role_kind="Role",
    ),
    BootstrapBinding("k8slite:simulator", ("Group:k8slite:simulators",)),
)


def role_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each role with its plural; aggregated roles have the rules that they gather from the others."""
    cluster_roles = {role.name: _role(role) for role in ROLES if not role.namespace}
    for role in ROLES:
        if role.namespace:
            yield "roles", _role(role)
        else:
            document = cluster_roles[role.name]
            yield "clusterroles", document | {"rules": aggregate(role.name, cluster_roles)}


def binding_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each binding with its plural."""
    for binding in BINDINGS:
        document = {
            "kind": "RoleBinding" if binding.namespace else "ClusterRoleBinding",
            "metadata": _metadata(binding.name, binding.namespace),
            "subjects": [_subject(text) for text in binding.subjects],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": binding.role_kind,
                "name": binding.role or binding.name,
            },
        }
        yield "rolebindings" if binding.namespace else "clusterrolebindings", document


def _role(role: BootstrapRole) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": "Role" if role.namespace else "ClusterRole"}
    document["metadata"] = _metadata(role.name, role.namespace, labels=role.labels)
    if role.aggregates:
        document["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {role.aggregates: "true"}}]}
    document["rules"] = role.rules
    return document


def _metadata(name: str, namespace: str, *, labels: tuple[str, ...] = ()) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"} | dict.fromkeys(labels, "true"),
        "annotations": {AUTOUPDATE: "true"},
    }
    return metadata | ({"namespace": namespace} if namespace else {})


AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
"""While this annotation is `true`, what the defaults say and an object lacks is added at each start."""


def _subject(text: str) -> dict[str, str]:
    kind, _, name = text.partition(":")
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "name": account, "namespace": namespace}
    return {"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name}
