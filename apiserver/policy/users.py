"""The roles for people: `admin`, `edit` and `view`, which gather the rules of others, and what everybody may.

Endpoints and EndpointSlices are not in `edit`: who writes them leads a Service's clients elsewhere (CVE-2021-25740).

Source: Kubernetes' rbac/bootstrappolicy (policy.go); metrics-server's manifests (rbac.yaml).
"""

from __future__ import annotations

from .base import ALL, READ, WRITE, BootstrapBinding, BootstrapRole, Rules, rule, urls

_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
TO_ADMIN, TO_EDIT, TO_VIEW = (_AGGREGATE + word for word in ("admin", "edit", "view"))

_VIEW: Rules = [
    rule(
        READ,
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"
        " replicationcontrollers/scale serviceaccounts services services/status",
    ),
    rule(
        READ,
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status"
        " resourcequotas resourcequotas/status",
    ),
    # Within a namespace this is the namespace itself.
    rule(READ, "namespaces"),
    rule(READ, "endpointslices", "discovery.k8s.io"),
    rule(
        READ,
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets"
        " replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
        "apps",
    ),
    rule(READ, "horizontalpodautoscalers horizontalpodautoscalers/status", "autoscaling"),
    rule(READ, "cronjobs cronjobs/status jobs jobs/status", "batch"),
    rule(
        READ,
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status"
        " networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
        "extensions",
    ),
    rule(READ, "poddisruptionbudgets poddisruptionbudgets/status", "policy"),
    rule(READ, "ingresses ingresses/status networkpolicies", "networking.k8s.io"),
    rule(READ, "resourceclaims resourceclaims/status resourceclaimtemplates", "resource.k8s.io"),
]
_EDIT: Rules = [
    rule(READ, "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    rule("impersonate", "serviceaccounts"),
    rule(WRITE, "pods pods/attach pods/exec pods/portforward pods/proxy"),
    rule("create", "pods/eviction"),
    rule(
        WRITE,
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets"
        " serviceaccounts services services/proxy",
    ),
    rule("create", "serviceaccounts/token"),
    rule(
        WRITE,
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets"
        " statefulsets/scale",
        "apps",
    ),
    rule(WRITE, "horizontalpodautoscalers", "autoscaling"),
    rule(WRITE, "cronjobs jobs", "batch"),
    rule(
        WRITE,
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets"
        " replicasets/scale replicationcontrollers/scale",
        "extensions",
    ),
    rule(WRITE, "poddisruptionbudgets", "policy"),
    rule(WRITE, "ingresses networkpolicies", "networking.k8s.io"),
    rule(f"{READ} {WRITE}", "leases", "coordination.k8s.io"),
    rule(WRITE, "resourceclaims resourceclaimtemplates", "resource.k8s.io"),
]
_ADMIN: Rules = [
    rule("create", "localsubjectaccessreviews", "authorization.k8s.io"),
    rule(f"{READ} {WRITE}", "roles rolebindings", "rbac.authorization.k8s.io"),
]
_HEALTH = "/healthz /livez /readyz"
_VERSION = "/version /version/"

ROLES: tuple[BootstrapRole, ...] = (
    BootstrapRole("cluster-admin", [rule(ALL, ALL, ALL), urls(ALL, ALL)]),
    BootstrapRole("admin", [], aggregates=TO_ADMIN),
    BootstrapRole("edit", [], aggregates=TO_EDIT, labels=(TO_ADMIN,)),
    BootstrapRole("view", [], aggregates=TO_VIEW, labels=(TO_EDIT,)),
    BootstrapRole("system:aggregate-to-admin", _ADMIN, labels=(TO_ADMIN,)),
    BootstrapRole("system:aggregate-to-edit", _EDIT, labels=(TO_EDIT,)),
    BootstrapRole("system:aggregate-to-view", _VIEW, labels=(TO_VIEW,)),
    BootstrapRole(
        "system:aggregated-metrics-reader",
        [rule(READ, "nodes pods", "metrics.k8s.io")],
        labels=(TO_ADMIN, TO_EDIT, TO_VIEW),
    ),
    BootstrapRole("system:discovery", [urls(f"/api /api/* /apis /apis/* {_HEALTH} /openapi /openapi/* {_VERSION}")]),
    BootstrapRole("system:public-info-viewer", [urls(f"{_HEALTH} {_VERSION}")]),
    BootstrapRole(
        "system:basic-user",
        [
            rule("create", "selfsubjectaccessreviews selfsubjectrulesreviews", "authorization.k8s.io"),
            rule("create", "selfsubjectreviews", "authentication.k8s.io"),
        ],
    ),
    BootstrapRole("system:monitoring", [urls(f"{_HEALTH} /healthz/* /livez/* /readyz/* /metrics /metrics/slis")]),
    BootstrapRole(
        "system:service-account-issuer-discovery",
        [urls("/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/")],
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
)
