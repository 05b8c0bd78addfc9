"""The resources that components read, each bound to its model: `client.get(PODS, "web", namespace="default")`."""

from __future__ import annotations

from . import (
    apps,
    autoscaling,
    batch,
    certificates,
    coordination,
    core,
    discovery,
    networking,
    rbac,
    scheduling,
    storage,
)
from .base import ResourceType

PODS = ResourceType("", "v1", "pods", "Pod", True, core.Pod)
NODES = ResourceType("", "v1", "nodes", "Node", False, core.Node)
SERVICES = ResourceType("", "v1", "services", "Service", True, core.Service)
ENDPOINTS = ResourceType("", "v1", "endpoints", "Endpoints", True, core.Endpoints)
NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", False, core.Namespace)
CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap", True, core.ConfigMap)
SECRETS = ResourceType("", "v1", "secrets", "Secret", True, core.Secret)
SERVICE_ACCOUNTS = ResourceType("", "v1", "serviceaccounts", "ServiceAccount", True, core.ServiceAccount)
EVENTS = ResourceType("", "v1", "events", "Event", True, core.Event)
REPLICATION_CONTROLLERS = ResourceType(
    "", "v1", "replicationcontrollers", "ReplicationController", True, core.ReplicationController
)
DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment", True, apps.Deployment)
REPLICA_SETS = ResourceType("apps", "v1", "replicasets", "ReplicaSet", True, apps.ReplicaSet)
STATEFUL_SETS = ResourceType("apps", "v1", "statefulsets", "StatefulSet", True, apps.StatefulSet)
DAEMON_SETS = ResourceType("apps", "v1", "daemonsets", "DaemonSet", True, apps.DaemonSet)
CONTROLLER_REVISIONS = ResourceType(
    "apps", "v1", "controllerrevisions", "ControllerRevision", True, apps.ControllerRevision
)
JOBS = ResourceType("batch", "v1", "jobs", "Job", True, batch.Job)
CRON_JOBS = ResourceType("batch", "v1", "cronjobs", "CronJob", True, batch.CronJob)
HORIZONTAL_POD_AUTOSCALERS = ResourceType(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    True,
    autoscaling.HorizontalPodAutoscaler,
)
LEASES = ResourceType("coordination.k8s.io", "v1", "leases", "Lease", True, coordination.Lease)
ENDPOINT_SLICES = ResourceType(
    "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, discovery.EndpointSlice
)
SERVICE_CIDRS = ResourceType("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", False, networking.ServiceCIDR)
IP_ADDRESSES = ResourceType("networking.k8s.io", "v1", "ipaddresses", "IPAddress", False, networking.IPAddress)
PRIORITY_CLASSES = ResourceType(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False, scheduling.PriorityClass
)
_RBAC = "rbac.authorization.k8s.io"
ROLES = ResourceType(_RBAC, "v1", "roles", "Role", True, rbac.Role)
CLUSTER_ROLES = ResourceType(_RBAC, "v1", "clusterroles", "ClusterRole", False, rbac.Role)
ROLE_BINDINGS = ResourceType(_RBAC, "v1", "rolebindings", "RoleBinding", True, rbac.RoleBinding)
CLUSTER_ROLE_BINDINGS = ResourceType(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False, rbac.RoleBinding)
CERTIFICATE_SIGNING_REQUESTS = ResourceType(
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    False,
    certificates.CertificateSigningRequest,
)
_STORAGE = "storage.k8s.io"
PERSISTENT_VOLUME_CLAIMS = ResourceType(
    "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, storage.PersistentVolumeClaim
)
PERSISTENT_VOLUMES = ResourceType("", "v1", "persistentvolumes", "PersistentVolume", False, storage.PersistentVolume)
STORAGE_CLASSES = ResourceType(_STORAGE, "v1", "storageclasses", "StorageClass", False, storage.StorageClass)
VOLUME_ATTRIBUTES_CLASSES = ResourceType(
    _STORAGE, "v1", "volumeattributesclasses", "VolumeAttributesClass", False, storage.VolumeAttributesClass
)
