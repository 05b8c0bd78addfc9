"""The roles of controllers: `system:controller:<name>`, each bound to the service account of its name in kube-system.

Our controller manager runs its controllers under one identity, so that is bound to the roles of those it runs.

Source: Kubernetes' rbac/bootstrappolicy (controller_policy.go, namespace_policy.go).
"""

from __future__ import annotations

from .base import ALL, EVENTS, READ, BootstrapBinding, BootstrapRole, Rules, rule
from .components import MANAGER

_PREFIX = "system:controller:"
_APPS = "apps extensions"
_CERTIFICATES = "certificates.k8s.io"
_POLICIES = "admissionregistration.k8s.io"
_RESOURCE, _STORAGE = "resource.k8s.io", "storage.k8s.io"
_SIGNERS = (
    "kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving"
    " kubernetes.io/legacy-unknown"
)

_RULES: dict[str, Rules] = {
    "attachdetach-controller": [
        rule("list watch", "persistentvolumeclaims persistentvolumes"),
        rule(READ, "nodes"),
        rule("patch update", "nodes/status"),
        rule("list watch", "pods"),
        EVENTS,
        rule(f"{READ} create delete", "volumeattachments", _STORAGE),
        rule(READ, "csidrivers", _STORAGE),
        rule(READ, "csinodes", _STORAGE),
    ],
    "certificate-controller": [
        rule(f"{READ} delete", "certificatesigningrequests", _CERTIFICATES),
        rule("update", "certificatesigningrequests/approval certificatesigningrequests/status", _CERTIFICATES),
        rule("approve", "signers", _CERTIFICATES, names="kubernetes.io/kube-apiserver-client-kubelet"),
        rule("sign", "signers", _CERTIFICATES, names=_SIGNERS),
        rule("create", "subjectaccessreviews", "authorization.k8s.io"),
        EVENTS,
    ],
    "clusterrole-aggregation-controller": [
        rule(f"escalate {READ} patch update", "clusterroles", "rbac.authorization.k8s.io"),
    ],
    "cronjob-controller": [
        rule(f"{READ} update", "cronjobs", "batch"),
        rule(f"{READ} create delete patch update", "jobs", "batch"),
        rule("update", "cronjobs/status", "batch"),
        rule("update", "cronjobs/finalizers", "batch"),
        rule("delete list watch", "pods"),
        EVENTS,
    ],
    "daemon-set-controller": [
        rule(READ, "daemonsets", _APPS),
        rule("update", "daemonsets/status", _APPS),
        rule("update", "daemonsets/finalizers", _APPS),
        rule("list watch", "nodes"),
        rule("create delete list patch watch", "pods"),
        rule("create", "pods/binding"),
        rule(f"{READ} create delete patch update", "controllerrevisions", "apps"),
        EVENTS,
    ],
    "deployment-controller": [
        rule(f"{READ} update", "deployments", _APPS),
        rule("update", "deployments/status", _APPS),
        rule("update", "deployments/finalizers", _APPS),
        rule(f"{READ} create delete patch update", "replicasets", _APPS),
        rule(f"{READ} update", "pods"),
        EVENTS,
    ],
    "device-taint-eviction-controller": [
        rule(f"{READ} delete", "pods"),
        rule("patch update", "pods/status"),
        rule(READ, "resourceclaims", _RESOURCE),
        rule(READ, "resourceslices", _RESOURCE),
        rule(READ, "deviceclasses", _RESOURCE),
        rule(READ, "devicetaintrules", _RESOURCE),
        rule("patch update", "devicetaintrules/status", _RESOURCE),
        EVENTS,
    ],
    "disruption-controller": [
        rule(READ, "deployments", _APPS),
        rule(READ, "replicasets", _APPS),
        rule(READ, "replicationcontrollers"),
        rule(READ, "poddisruptionbudgets", "policy"),
        rule(READ, "statefulsets", "apps"),
        rule("update", "poddisruptionbudgets/status", "policy"),
        rule("patch update", "pods/status"),
        rule("get", "*/scale", ALL),
        EVENTS,
    ],
    "endpoint-controller": [
        rule(READ, "pods services"),
        rule(f"{READ} create delete update", "endpoints"),
        rule("create", "endpoints/restricted"),
        EVENTS,
    ],
    "endpointslice-controller": [
        rule(READ, "nodes pods services"),
        rule("update", "services/finalizers"),
        rule(f"{READ} create delete update", "endpointslices", "discovery.k8s.io"),
        EVENTS,
    ],
    "endpointslicemirroring-controller": [
        rule(READ, "endpoints services"),
        rule("update", "services/finalizers"),
        rule("update", "endpoints/finalizers"),
        rule(f"{READ} create delete update", "endpointslices", "discovery.k8s.io"),
        EVENTS,
    ],
    "ephemeral-volume-controller": [
        rule(READ, "pods"),
        rule("update", "pods/finalizers"),
        rule(f"{READ} create", "persistentvolumeclaims"),
        EVENTS,
    ],
    "expand-controller": [
        rule(f"{READ} patch update", "persistentvolumes"),
        rule("patch update", "persistentvolumeclaims/status"),
        rule(READ, "persistentvolumeclaims"),
        EVENTS,
        rule("get", "services"),
    ],
    "generic-garbage-collector": [rule(f"{READ} delete patch update", ALL, ALL), EVENTS],
    "horizontal-pod-autoscaler": [
        rule(READ, "horizontalpodautoscalers", "autoscaling"),
        rule("update", "horizontalpodautoscalers/status", "autoscaling"),
        rule("get update", "*/scale", ALL),
        rule("list watch", "pods"),
        rule("list watch", "pods", "metrics.k8s.io"),
        rule(READ, ALL, "custom.metrics.k8s.io"),
        rule(READ, ALL, "external.metrics.k8s.io"),
        EVENTS,
    ],
    "job-controller": [
        rule(f"{READ} patch update", "jobs", "batch"),
        rule("update", "jobs/status", "batch"),
        rule("update", "jobs/finalizers", "batch"),
        rule("create delete list patch watch", "pods"),
        EVENTS,
    ],
    "kube-apiserver-serving-clustertrustbundle-publisher": [
        rule("attest", "signers", _CERTIFICATES, names="kubernetes.io/kube-apiserver-serving"),
        rule("create delete list update watch", "clustertrustbundles", _CERTIFICATES),
        EVENTS,
    ],
    "legacy-service-account-token-cleaner": [
        rule("get", "configmaps", names="kube-apiserver-legacy-service-account-token-tracking"),
        rule("delete patch", "secrets"),
    ],
    "namespace-controller": [
        rule(f"{READ} delete", "namespaces"),
        rule("update", "namespaces/finalize namespaces/status"),
        rule(f"{READ} delete deletecollection", ALL, ALL),
    ],
    "node-controller": [
        rule(f"{READ} delete patch update", "nodes"),
        rule("patch update", "nodes/status"),
        rule("patch update", "pods/status"),
        rule(f"{READ} delete", "pods"),
        EVENTS,
    ],
    "persistent-volume-binder": [
        rule(f"{READ} create delete update", "persistentvolumes"),
        rule("update", "persistentvolumes/status"),
        rule(f"{READ} update", "persistentvolumeclaims"),
        rule("update", "persistentvolumeclaims/status"),
        rule(f"{READ} create delete", "pods"),
        rule(READ, "storageclasses", _STORAGE),
        rule("list watch", "nodes"),
        EVENTS,
        rule("watch", "events"),
        rule("get", "services"),
    ],
    "pod-garbage-collector": [
        rule("delete list watch", "pods"),
        rule(READ, "nodes"),
        rule("patch", "pods/status"),
    ],
    "podcertificaterequestcleaner": [rule(f"{READ} delete", "podcertificaterequests", _CERTIFICATES)],
    "pv-protection-controller": [rule(f"{READ} update", "persistentvolumes"), EVENTS],
    "pvc-protection-controller": [rule(f"{READ} update", "persistentvolumeclaims"), rule(READ, "pods"), EVENTS],
    "replicaset-controller": [
        rule(f"{READ} update", "replicasets", _APPS),
        rule("update", "replicasets/status", _APPS),
        rule("update", "replicasets/finalizers", _APPS),
        rule("create delete list patch watch", "pods"),
        EVENTS,
    ],
    "replication-controller": [
        rule(f"{READ} update", "replicationcontrollers"),
        rule("update", "replicationcontrollers/status"),
        rule("update", "replicationcontrollers/finalizers"),
        rule("create delete list patch watch", "pods"),
        EVENTS,
    ],
    "resource-claim-controller": [
        rule(READ, "pods"),
        rule("update", "pods/finalizers"),
        rule(f"{READ} create delete", "resourceclaims", _RESOURCE),
        rule("patch update", "resourceclaims resourceclaims/status", _RESOURCE),
        rule("patch update", "pods/status"),
        EVENTS,
    ],
    "resourcequota-controller": [rule("list watch", ALL, ALL), rule("update", "resourcequotas/status"), EVENTS],
    "root-ca-cert-publisher": [rule("create update", "configmaps"), EVENTS],
    "route-controller": [rule("list watch", "nodes"), rule("patch", "nodes/status"), EVENTS],
    "selinux-warning-controller": [
        EVENTS,
        rule(READ, "persistentvolumes"),
        rule(READ, "persistentvolumeclaims"),
        rule(READ, "pods"),
        rule(READ, "csidrivers", _STORAGE),
    ],
    "service-account-controller": [rule("create", "serviceaccounts"), EVENTS],
    "service-cidrs-controller": [
        rule(f"{READ} patch update", "servicecidrs", "networking.k8s.io"),
        rule("patch update", "servicecidrs/finalizers", "networking.k8s.io"),
        rule("patch update", "servicecidrs/status", "networking.k8s.io"),
        rule(READ, "ipaddresses", "networking.k8s.io"),
        EVENTS,
    ],
    "service-controller": [
        rule(READ, "services"),
        rule("patch update", "services/status"),
        rule("list watch", "nodes"),
        EVENTS,
    ],
    "statefulset-controller": [
        rule("list watch", "pods"),
        rule(READ, "statefulsets", "apps"),
        rule("update", "statefulsets/status", "apps"),
        rule("update", "statefulsets/finalizers", "apps"),
        rule("create delete get patch update", "pods"),
        rule(f"{READ} create delete patch update", "controllerrevisions", "apps"),
        rule(f"{READ} create", "persistentvolumeclaims"),
        rule("delete update", "persistentvolumeclaims"),
        rule("update", "pods/finalizers"),
        EVENTS,
    ],
    "storage-version-migrator-controller": [
        rule("create list patch watch", ALL, ALL),
        rule("update", "storageversionmigrations/status", "storagemigration.k8s.io"),
    ],
    "ttl-after-finished-controller": [rule(f"{READ} delete", "jobs", "batch"), EVENTS],
    "ttl-controller": [rule("list patch update watch", "nodes"), EVENTS],
    "validatingadmissionpolicy-status-controller": [
        rule(READ, "validatingadmissionpolicies", _POLICIES),
        rule("get patch update", "validatingadmissionpolicies/status", _POLICIES),
        EVENTS,
    ],
    "volumeattributesclass-protection-controller": [
        rule(READ, "persistentvolumeclaims"),
        rule(READ, "persistentvolumes"),
        rule(f"{READ} update", "volumeattributesclasses", _STORAGE),
        EVENTS,
    ],
}

RUN = (
    "certificate-controller clusterrole-aggregation-controller cronjob-controller daemon-set-controller"
    " deployment-controller disruption-controller endpoint-controller endpointslice-controller"
    " endpointslicemirroring-controller ephemeral-volume-controller expand-controller generic-garbage-collector"
    " horizontal-pod-autoscaler job-controller legacy-service-account-token-cleaner namespace-controller"
    " node-controller persistent-volume-binder pod-garbage-collector podcertificaterequestcleaner"
    " pv-protection-controller pvc-protection-controller replicaset-controller replication-controller"
    " resourcequota-controller root-ca-cert-publisher service-account-controller service-cidrs-controller"
    " service-controller statefulset-controller ttl-after-finished-controller ttl-controller"
    " validatingadmissionpolicy-status-controller volumeattributesclass-protection-controller"
)
"""The roles of what our controller manager runs."""
_OWN = frozenset(RUN.split())
_OWN_IN_NAMESPACES = frozenset({"bootstrap-signer", "token-cleaner"})

_IN_NAMESPACES: dict[tuple[str, str], Rules] = {
    ("kube-system", "bootstrap-signer"): [rule(READ, "secrets")],
    ("kube-system", "cloud-provider"): [rule(f"create {READ}", "configmaps")],
    ("kube-system", "token-cleaner"): [rule(f"{READ} delete", "secrets"), EVENTS],
    ("kube-public", "bootstrap-signer"): [
        rule(READ, "configmaps"),
        rule("update", "configmaps", names="cluster-info"),
        EVENTS,
    ],
}


def _account(name: str) -> str:
    return f"ServiceAccount:kube-system/{name}"


ROLES: tuple[BootstrapRole, ...] = (
    *(BootstrapRole(_PREFIX + name, rules) for name, rules in _RULES.items()),
    *(BootstrapRole(_PREFIX + name, rules, namespace=place) for (place, name), rules in _IN_NAMESPACES.items()),
)
BINDINGS: tuple[BootstrapBinding, ...] = (
    *(BootstrapBinding(_PREFIX + name, (_account(name), *([MANAGER] if name in _OWN else ()))) for name in _RULES),
    *(
        BootstrapBinding(
            _PREFIX + name,
            (_account(name), *([MANAGER] if name in _OWN_IN_NAMESPACES else ())),
            namespace=place,
            role_kind="Role",
        )
        for place, name in _IN_NAMESPACES
    ),
)
