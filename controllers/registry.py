"""The controllers by the names that upstream's `--controllers` knows, and who makes each.

A line is all that a controller needs to be run: `package.module:function`, below this package; the function takes the
Context and returns what is to run.

Source: Kubernetes documentation, "kube-controller-manager", `--controllers`; cmd/kube-controller-manager/names.
"""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.config import ConfigError

CONTROLLERS = {
    "serviceaccount-token-controller": "tokens.sync:build",
    "endpoints-controller": "endpoints.sync:build",
    "endpointslice-controller": "endpointslice.sync:build",
    "service-cidr-controller": "servicecidrs.sync:build",
    "service-lb-controller": "serviceloadbalancer.sync:build",
    "endpointslice-mirroring-controller": "endpointslicemirroring.sync:build",
    "replicationcontroller-controller": "replicaset.sync:build_replication_controllers",
    "pod-garbage-collector-controller": "podgc.sync:build",
    "resourcequota-controller": "resourcequota.sync:build",
    "namespace-controller": "namespace.sync:build",
    "serviceaccount-controller": "serviceaccount.sync:build",
    "garbage-collector-controller": "garbage.sync:build",
    "daemonset-controller": "daemonset.sync:build",
    "job-controller": "job.sync:build",
    "deployment-controller": "deployment.sync:build",
    "replicaset-controller": "replicaset.sync:build",
    "horizontal-pod-autoscaler-controller": "horizontalpodautoscaler.sync:build",
    "disruption-controller": "disruption.sync:build",
    "statefulset-controller": "statefulset.sync:build",
    "cronjob-controller": "cronjob.sync:build",
    "certificatesigningrequest-signing-controller": "certificates.signing:build",
    "certificatesigningrequest-approving-controller": "certificates.approving:build",
    "certificatesigningrequest-cleaner-controller": "certificates.cleaning:build",
    "podcertificaterequest-cleaner-controller": "certificates.pod_requests:build",
    "ttl-controller": "ttl.sync:build",
    "bootstrap-signer-controller": "bootstrap.signer:build",
    "token-cleaner-controller": "bootstrap.cleaner:build",
    "node-ipam-controller": "nodeipam.sync:build",
    "node-lifecycle-controller": "nodelifecycle.sync:build",
    "taint-eviction-controller": "tainteviction.sync:build",
    "clusterrole-aggregation-controller": "clusterroles.sync:build",
    "ephemeral-volume-controller": "ephemeralvolume.sync:build",
    "local-volume-provisioner-controller": "localprovisioner.sync:build",
    "persistentvolume-binder-controller": "persistentvolume.sync:build",
    "persistentvolume-expander-controller": "volumeexpand.sync:build",
    "persistentvolume-protection-controller": "protection.sync:build_volumes",
    "persistentvolumeclaim-protection-controller": "protection.sync:build_claims",
    "volumeattributesclass-protection-controller": "protection.sync:build_attributes_classes",
    "legacy-serviceaccount-token-cleaner-controller": "legacytokens.sync:build",
    "root-ca-certificate-publisher-controller": "rootca.sync:build",
    "ttl-after-finished-controller": "ttlafterfinished.sync:build",
}
"""Each controller's name and what makes it; what makes several is asked once."""

OFF = frozenset({"bootstrap-signer-controller", "token-cleaner-controller"})
"""What `*` does not mean, as upstream has it."""

NOT_HERE = {
    "cloud-node-lifecycle-controller": "there is no cloud",
    "node-route-controller": "there is no cloud",
    "device-taint-eviction-controller": "devices are not allocated",
    "resourceclaim-controller": "devices are not allocated",
    "persistentvolume-attach-detach-controller": "volumes of CSI drivers are not attached",
    "selinux-warning-controller": "volumes are not labelled for SELinux",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller": "the server's certificate is not published",
    "storage-version-migrator-controller": "objects are stored in one version",
    "storageversion-garbage-collector-controller": "objects are stored in one version",
    "validatingadmissionpolicy-status-controller": "the API server does it",
}
"""Upstream's other names, which may be left out but not asked for, and why."""

ALIASES = {
    "serviceaccount-token": "serviceaccount-token-controller",
    "endpoint": "endpoints-controller",
    "endpointslice": "endpointslice-controller",
    "endpointslicemirroring": "endpointslice-mirroring-controller",
    "replicationcontroller": "replicationcontroller-controller",
    "podgc": "pod-garbage-collector-controller",
    "resourcequota": "resourcequota-controller",
    "namespace": "namespace-controller",
    "serviceaccount": "serviceaccount-controller",
    "garbagecollector": "garbage-collector-controller",
    "daemonset": "daemonset-controller",
    "job": "job-controller",
    "deployment": "deployment-controller",
    "replicaset": "replicaset-controller",
    "horizontalpodautoscaling": "horizontal-pod-autoscaler-controller",
    "disruption": "disruption-controller",
    "statefulset": "statefulset-controller",
    "cronjob": "cronjob-controller",
    "csrsigning": "certificatesigningrequest-signing-controller",
    "csrapproving": "certificatesigningrequest-approving-controller",
    "csrcleaner": "certificatesigningrequest-cleaner-controller",
    "ttl": "ttl-controller",
    "bootstrapsigner": "bootstrap-signer-controller",
    "tokencleaner": "token-cleaner-controller",
    "nodeipam": "node-ipam-controller",
    "nodelifecycle": "node-lifecycle-controller",
    "cloud-node-lifecycle": "cloud-node-lifecycle-controller",
    "route": "node-route-controller",
    "attachdetach": "persistentvolume-attach-detach-controller",
    "service": "service-lb-controller",
    "persistentvolume-binder": "persistentvolume-binder-controller",
    "persistentvolume-expander": "persistentvolume-expander-controller",
    "clusterrole-aggregation": "clusterrole-aggregation-controller",
    "pvc-protection": "persistentvolumeclaim-protection-controller",
    "pv-protection": "persistentvolume-protection-controller",
    "ttl-after-finished": "ttl-after-finished-controller",
    "root-ca-cert-publisher": "root-ca-certificate-publisher-controller",
    "ephemeral-volume": "ephemeral-volume-controller",
    "legacy-service-account-token-cleaner": "legacy-serviceaccount-token-cleaner-controller",
}
"""The names that upstream's controllers had before 1.28, which it takes still."""


def enabled(wanted: Sequence[str]) -> list[str]:
    """The names that a list such as `["*", "-job"]` asks for; the first word about a controller counts.

    Raises ConfigError for a name that is none, or of none that there is here.
    """
    said: dict[str, bool] = {}
    everything = False
    for item in wanted:
        if item == "*":
            everything = True
            continue
        plain = item.removeprefix("-")
        name = ALIASES.get(plain, plain)
        if name in NOT_HERE:
            if plain == item:
                raise ConfigError(f"controllers: there is no {name}: {NOT_HERE[name]}")
            continue
        if name not in CONTROLLERS:
            raise ConfigError(f"controllers: unknown {plain}; there are {', '.join(sorted(CONTROLLERS))}")
        said.setdefault(name, plain == item)
    return [name for name in CONTROLLERS if said.get(name, everything and name not in OFF)]
