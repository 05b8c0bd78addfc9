"""Who the pods of a StatefulSet are: their ordinals, names and labels, and the claims that stay theirs.

Source: Kubernetes documentation, "StatefulSets", Pod Identity; pkg/controller/statefulset/stateful_set_utils.go.
"""

from __future__ import annotations

import copy
from typing import Any

from k8slite import ownership
from k8slite.kinds.apps import StatefulSet
from k8slite.kinds.template import RawTemplate

from ..pods import Pod
from ..revisions import POD_LABEL

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
_DIGITS = 10
"""Upstream's ordinals have 32 bits."""


def ordinal_of(statefulset: StatefulSet, name: str) -> int | None:
    """The number that a pod's name says it has in the set; None for the name of no pod of the set."""
    parent, _, digits = name.rpartition("-")
    if parent != statefulset.name or not digits.isascii() or not digits.isdigit() or len(digits) > _DIGITS:
        return None
    ordinal = int(digits)
    return ordinal if str(ordinal) == digits and ordinal < 2**31 else None


def ordinals(statefulset: StatefulSet) -> range:
    """The numbers that the set's pods are to have."""
    start = statefulset.spec.ordinals.start
    return range(start, start + statefulset.spec.replicas)


def pod_name(statefulset: StatefulSet, ordinal: int) -> str:
    """What the pod of a number is called."""
    return f"{statefulset.name}-{ordinal}"


def claim_name(statefulset: StatefulSet, template: dict[str, Any], ordinal: int) -> str:
    """What the claim of a number and a claim template is called."""
    return f"{_template_name(template)}-{statefulset.name}-{ordinal}"


def _template_name(template: dict[str, Any]) -> str:
    name: str = (template.get("metadata") or {}).get("name") or ""
    return name


def claim_names(statefulset: StatefulSet, ordinal: int) -> dict[str, str]:
    """The claims of a number, by the names of their volumes."""
    templates = statefulset.spec.volume_claim_templates
    return {_template_name(template): claim_name(statefulset, template, ordinal) for template in templates}


def uses_claim(statefulset: StatefulSet, name: str) -> bool:
    """Whether a claim's name is one that the set gives."""
    stem, _, digits = name.rpartition("-")
    if not digits.isdigit() or not stem.endswith(f"-{statefulset.name}"):
        return False
    volume = stem[: -len(statefulset.name) - 1]
    return any(_template_name(template) == volume for template in statefulset.spec.volume_claim_templates)


def labels_of(statefulset: StatefulSet, ordinal: int) -> dict[str, str]:
    """The labels that tell a pod's name and number."""
    return {POD_NAME: pod_name(statefulset, ordinal), POD_INDEX: str(ordinal)}


def revision_of(pod: Pod) -> str:
    """The name of the revision that a pod was made from."""
    return pod.metadata.labels.get(POD_LABEL, "")


def missing_labels(statefulset: StatefulSet, pod: Pod, ordinal: int) -> dict[str, str]:
    """What of its identity a pod does not say, or says wrongly."""
    present = pod.metadata.labels
    return {key: value for key, value in labels_of(statefulset, ordinal).items() if present.get(key) != value}


def missing_volumes(statefulset: StatefulSet, pod: Pod, ordinal: int) -> dict[str, str]:
    """The set's volumes that a pod has not, or has from elsewhere, with the claims that they should come from."""
    wanted = claim_names(statefulset, ordinal)
    if not wanted:
        return {}
    sources = {volume.name: volume.persistent_volume_claim for volume in pod.spec.volumes}
    present = {name: source.claim_name for name, source in sources.items() if source is not None}
    return {volume: claim for volume, claim in wanted.items() if present.get(volume) != claim}


def pod_of(statefulset: StatefulSet, template: RawTemplate, *, ordinal: int, revision: str) -> dict[str, Any]:
    """The pod of a number, made from the template of a revision."""
    name = pod_name(statefulset, ordinal)
    metadata = template.document.get("metadata") or {}
    kept = {field: metadata[field] for field in ("annotations", "finalizers") if metadata.get(field)}
    spec = dict(template.spec)
    volumes = volumes_of(claim_names(statefulset, ordinal))
    if volumes:
        names = {volume["name"] for volume in volumes}
        spec["volumes"] = [*volumes, *(volume for volume in spec.get("volumes") or () if volume["name"] not in names)]
    spec["hostname"] = name
    spec["subdomain"] = statefulset.spec.service_name
    if not spec["subdomain"]:
        del spec["subdomain"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{statefulset.name}-",
            "namespace": statefulset.namespace,
            "labels": template.labels | labels_of(statefulset, ordinal) | {POD_LABEL: revision},
            **kept,
            "ownerReferences": [ownership.controller_reference(statefulset)],
        },
        "spec": spec,
    }


def volumes_of(claims: dict[str, str]) -> list[dict[str, Any]]:
    """The volumes of a pod that come from claims."""
    return [{"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, claim in claims.items()]


def claims_of(statefulset: StatefulSet, ordinal: int) -> list[dict[str, Any]]:
    """The claims of a number as they are made. Those that end with the set are the set's from the beginning."""
    made = []
    for template in statefulset.spec.volume_claim_templates:
        metadata = copy.deepcopy(template.get("metadata") or {})
        metadata.pop("creationTimestamp", None)
        metadata["name"] = claim_name(statefulset, template, ordinal)
        metadata["namespace"] = statefulset.namespace
        labels = (metadata.get("labels") or {}) | statefulset.spec.selector.match_labels
        if labels:
            metadata["labels"] = labels
        if statefulset.spec.persistent_volume_claim_retention_policy.when_deleted == "Delete":
            metadata["ownerReferences"] = [ownership.controller_reference(statefulset)]
        spec = copy.deepcopy(template.get("spec") or {})
        made.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    return made
