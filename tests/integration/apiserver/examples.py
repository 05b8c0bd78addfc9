"""A minimal valid object of every kind: what the registry's test table creates. Keys are `plural.group`."""

from __future__ import annotations

import base64
import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

POD_SPEC: dict[str, Any] = {"containers": [{"name": "main", "image": "busybox"}]}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": POD_SPEC}
SELECTOR = {"matchLabels": {"app": "web"}}
JOB_TEMPLATE = {"spec": {**POD_SPEC, "restartPolicy": "Never"}}
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
WEBHOOK = {
    "name": "hook.example.com",
    "clientConfig": {"url": "https://example.com/hook"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
CRD_SPEC = {
    "group": "example.com",
    "scope": "Namespaced",
    "names": {"plural": "widgets", "kind": "Widget"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
}
POLICY_SPEC = {
    "matchConstraints": {"resourceRules": [RULE]},
    "validations": [{"expression": "true"}],
}
MUTATING_SPEC = {
    "matchConstraints": {"resourceRules": [RULE]},
    "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{}]"}}],
    "reinvocationPolicy": "Never",
}

_KEY = ec.generate_private_key(ec.SECP256R1())
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example")])


def signing_request() -> str:
    """A PKCS #10 request, as a CertificateSigningRequest carries it."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_NAME).sign(_KEY, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def trust_bundle() -> str:
    """The certificate of an authority."""
    builder = x509.CertificateBuilder(
        issuer_name=_NAME,
        subject_name=_NAME,
        public_key=_KEY.public_key(),
        serial_number=1,
        not_valid_before=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        not_valid_after=datetime.datetime(2036, 1, 1, tzinfo=datetime.UTC),
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


EXAMPLES: dict[str, dict[str, Any]] = {
    "pods": {"spec": POD_SPEC},
    "podtemplates": {"template": TEMPLATE},
    "replicationcontrollers": {"spec": {"template": TEMPLATE}},
    "services": {"spec": {"ports": [{"port": 80}]}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "events": {"involvedObject": {"kind": "Pod", "namespace": "default", "name": "a"}, "reason": "Started"},
    "persistentvolumes": {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/x"}}
    },
    "persistentvolumeclaims": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "limitranges": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    "resourcequotas": {"spec": {"hard": {"pods": "10"}}},
    "deployments.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "replicasets.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "statefulsets.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "web"}},
    "daemonsets.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "controllerrevisions.apps": {"revision": 1, "data": {"a": 1}},
    "jobs.batch": {"spec": {"template": JOB_TEMPLATE}},
    "cronjobs.batch": {"spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": JOB_TEMPLATE}}}},
    "horizontalpodautoscalers.autoscaling": {
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}}
    },
    "certificatesigningrequests.certificates.k8s.io": {
        "spec": {"request": signing_request(), "signerName": "example.com/signer", "usages": ["client auth"]}
    },
    "clustertrustbundles.certificates.k8s.io": {"spec": {"trustBundle": trust_bundle()}},
    "podcertificaterequests.certificates.k8s.io": {
        "spec": {
            "signerName": "example.com/signer",
            "podName": "a",
            "podUID": "u",
            "serviceAccountName": "default",
            "serviceAccountUID": "u",
            "nodeName": "n",
            "nodeUID": "u",
            "stubPKCS10Request": "YQ==",
        }
    },
    "leases.coordination.k8s.io": {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 10}},
    "endpointslices.discovery.k8s.io": {"addressType": "IPv4", "endpoints": [], "ports": []},
    "events.events.k8s.io": {
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "a"},
        "reason": "Started",
        "action": "Start",
        "type": "Normal",
        "reportingController": "example.com/c",
        "reportingInstance": "c-1",
    },
    "flowschemas.flowcontrol.apiserver.k8s.io": {"spec": {"priorityLevelConfiguration": {"name": "global-default"}}},
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": {
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}}
    },
    "ingressclasses.networking.k8s.io": {"spec": {"controller": "example.com/ingress"}},
    "ingresses.networking.k8s.io": {"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}},
    "ipaddresses.networking.k8s.io": {
        "metadata": {"name": "10.96.0.77"},
        "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}},
    },
    "networkpolicies.networking.k8s.io": {"spec": {"podSelector": {}}},
    "servicecidrs.networking.k8s.io": {"spec": {"cidrs": ["10.97.0.0/16"]}},
    "runtimeclasses.node.k8s.io": {"handler": "runc"},
    "poddisruptionbudgets.policy": {"spec": {"minAvailable": 1, "selector": SELECTOR}},
    "clusterrolebindings.rbac.authorization.k8s.io": {"roleRef": {"kind": "ClusterRole", "name": "view"}},
    "rolebindings.rbac.authorization.k8s.io": {"roleRef": {"kind": "ClusterRole", "name": "view"}},
    "clusterroles.rbac.authorization.k8s.io": {"rules": []},
    "roles.rbac.authorization.k8s.io": {"rules": []},
    "deviceclasses.resource.k8s.io": {"spec": {}},
    "devicetaintrules.resource.k8s.io": {"spec": {"taint": {"key": "a", "effect": "NoSchedule"}}},
    "resourceclaims.resource.k8s.io": {"spec": {}},
    "resourceclaimtemplates.resource.k8s.io": {"spec": {"spec": {}}},
    "resourceslices.resource.k8s.io": {
        "spec": {
            "driver": "d.example.com",
            "nodeName": "n",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
        }
    },
    "priorityclasses.scheduling.k8s.io": {"value": 10},
    "csidrivers.storage.k8s.io": {"spec": {}},
    "csinodes.storage.k8s.io": {"spec": {"drivers": []}},
    "csistoragecapacities.storage.k8s.io": {"storageClassName": "fast"},
    "storageclasses.storage.k8s.io": {"provisioner": "example.com/p"},
    "volumeattachments.storage.k8s.io": {
        "spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "v"}}
    },
    "volumeattributesclasses.storage.k8s.io": {"driverName": "d", "parameters": {"a": "b"}},
    "storageversionmigrations.storagemigration.k8s.io": {
        "spec": {"resource": {"group": "apps", "resource": "deployments"}}
    },
    "customresourcedefinitions.apiextensions.k8s.io": {
        "metadata": {"name": "widgets.example.com"},
        "spec": CRD_SPEC,
    },
    "apiservices.apiregistration.k8s.io": {
        "metadata": {"name": "v1.example.com"},
        "spec": {"group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10},
    },
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": {"webhooks": [WEBHOOK]},
    "validatingwebhookconfigurations.admissionregistration.k8s.io": {"webhooks": [WEBHOOK]},
    "validatingadmissionpolicies.admissionregistration.k8s.io": {"spec": POLICY_SPEC},
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": {
        "spec": {"policyName": "p", "validationActions": ["Deny"]}
    },
    "mutatingadmissionpolicies.admissionregistration.k8s.io": {"spec": MUTATING_SPEC},
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": {"spec": {"policyName": "p"}},
}
