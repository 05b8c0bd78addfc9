"""The columns of every kind that prints more than its name and age: one row each, by group and kind."""

from __future__ import annotations

from k8slite.catalogue import Resource

from . import cluster, network, storage, usage, workloads
from .base import AGE, NAME, Column
from .pods import POD

DEFAULT = (NAME, AGE)

_COLUMNS: dict[tuple[str, str], tuple[Column, ...]] = {
    ("", "ComponentStatus"): cluster.COMPONENT_STATUS,
    ("", "ConfigMap"): cluster.CONFIG_MAP,
    ("", "Endpoints"): network.ENDPOINTS,
    ("", "Event"): cluster.EVENT,
    ("", "LimitRange"): cluster.NAME_AND_DATE,
    ("", "Namespace"): cluster.NAMESPACE,
    ("", "Node"): cluster.NODE,
    ("", "PersistentVolume"): storage.PERSISTENT_VOLUME,
    ("", "PersistentVolumeClaim"): storage.PERSISTENT_VOLUME_CLAIM,
    ("", "Pod"): POD,
    ("", "PodTemplate"): workloads.POD_TEMPLATE,
    ("", "ReplicationController"): workloads.REPLICATION_CONTROLLER,
    ("", "ResourceQuota"): cluster.RESOURCE_QUOTA,
    ("", "Secret"): cluster.SECRET,
    ("", "Service"): network.SERVICE,
    ("", "ServiceAccount"): cluster.SERVICE_ACCOUNT,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): cluster.MUTATING_POLICY,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): cluster.POLICY_BINDING,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): cluster.WEBHOOKS,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): cluster.VALIDATING_POLICY,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): cluster.POLICY_BINDING,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): cluster.WEBHOOKS,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): cluster.NAME_AND_DATE,
    ("apiregistration.k8s.io", "APIService"): workloads.API_SERVICE,
    ("apps", "ControllerRevision"): workloads.CONTROLLER_REVISION,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("batch", "CronJob"): workloads.CRON_JOB,
    ("batch", "Job"): workloads.JOB,
    ("certificates.k8s.io", "CertificateSigningRequest"): cluster.CERTIFICATE_SIGNING_REQUEST,
    ("certificates.k8s.io", "ClusterTrustBundle"): cluster.CLUSTER_TRUST_BUNDLE,
    ("certificates.k8s.io", "PodCertificateRequest"): cluster.POD_CERTIFICATE_REQUEST,
    ("coordination.k8s.io", "Lease"): cluster.LEASE,
    ("discovery.k8s.io", "EndpointSlice"): network.ENDPOINT_SLICE,
    ("events.k8s.io", "Event"): cluster.EVENT,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): cluster.FLOW_SCHEMA,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): cluster.PRIORITY_LEVEL,
    ("metrics.k8s.io", "NodeMetrics"): usage.NODE_METRICS,
    ("metrics.k8s.io", "PodMetrics"): usage.POD_METRICS,
    ("networking.k8s.io", "IPAddress"): network.IP_ADDRESS,
    ("networking.k8s.io", "Ingress"): network.INGRESS,
    ("networking.k8s.io", "IngressClass"): network.INGRESS_CLASS,
    ("networking.k8s.io", "NetworkPolicy"): network.NETWORK_POLICY,
    ("networking.k8s.io", "ServiceCIDR"): network.SERVICE_CIDR,
    ("node.k8s.io", "RuntimeClass"): cluster.RUNTIME_CLASS,
    ("policy", "PodDisruptionBudget"): workloads.POD_DISRUPTION_BUDGET,
    ("rbac.authorization.k8s.io", "ClusterRole"): cluster.NAME_AND_DATE,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): cluster.ROLE_BINDING,
    ("rbac.authorization.k8s.io", "Role"): cluster.NAME_AND_DATE,
    ("rbac.authorization.k8s.io", "RoleBinding"): cluster.ROLE_BINDING,
    ("resource.k8s.io", "ResourceClaim"): cluster.RESOURCE_CLAIM,
    ("resource.k8s.io", "ResourceSlice"): cluster.RESOURCE_SLICE,
    ("scheduling.k8s.io", "PriorityClass"): cluster.PRIORITY_CLASS,
    ("storage.k8s.io", "CSIDriver"): storage.CSI_DRIVER,
    ("storage.k8s.io", "CSINode"): storage.CSI_NODE,
    ("storage.k8s.io", "CSIStorageCapacity"): storage.CSI_STORAGE_CAPACITY,
    ("storage.k8s.io", "StorageClass"): storage.STORAGE_CLASS,
    ("storage.k8s.io", "VolumeAttachment"): storage.VOLUME_ATTACHMENT,
    ("storage.k8s.io", "VolumeAttributesClass"): storage.VOLUME_ATTRIBUTES_CLASS,
    ("storagemigration.k8s.io", "StorageVersionMigration"): cluster.STORAGE_VERSION_MIGRATION,
}
_AUTOSCALERS = {version: workloads.autoscaler_columns(version) for version in ("v1", "v2")}


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """A resource's columns; name and age for kinds that have none of their own."""
    if resource.group == "autoscaling":
        return _AUTOSCALERS.get(resource.version, DEFAULT)
    return _COLUMNS.get((resource.group, resource.kind), DEFAULT)
