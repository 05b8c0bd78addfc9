"""Rules for PersistentVolumes, and for what may change in them.

Source: Kubernetes' core validation (ValidatePersistentVolume, ValidatePersistentVolumeUpdate).
"""

from __future__ import annotations

import posixpath
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from . import names
from .affinity import node_selector
from .claims import VOLUME_MODES, access_modes
from .differences import difference
from .resources import basic, positive
from .volume_sources import PLACES, SOURCES, Check, csi_driver, iscsi, long_portal, needs, storage_os

Document = dict[str, Any]

_RECLAIM = ("Delete", "Recycle", "Retain")
_IMMUTABLE = "field is immutable"
_GA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def volume(obj: Document) -> list[Cause]:
    """What is wrong with a PersistentVolume."""
    return volume_spec(obj.get("spec") or {}, "spec", obj["metadata"].get("name") or "")


def volume_spec(spec: Document, field: str, name: str = "", *, inline: bool = False) -> list[Cause]:
    """What is wrong with a volume's spec; `inline` is one that stands in a VolumeAttachment."""
    causes: list[Cause] = []
    if inline:
        causes += _inline(spec, field)
    causes += [] if spec.get("accessModes") else [required(f"{field}.accessModes")]
    causes += access_modes(spec, field)
    if not inline:
        causes += _capacity(spec, f"{field}.capacity")
        if (policy := spec.get("persistentVolumeReclaimPolicy")) and policy not in _RECLAIM:
            causes.append(not_supported(f"{field}.persistentVolumeReclaimPolicy", policy, _RECLAIM))
        if (affinity := spec.get("nodeAffinity")) is not None:
            here = f"{field}.nodeAffinity.required"
            if (selector := affinity.get("required")) is not None:
                causes += node_selector(selector, here)
            else:
                causes.append(required(here, "must specify required node constraints"))
    causes += _source(spec, field, name)
    return causes + _class_and_mode(spec, field, inline=inline)


def _inline(spec: Document, field: str) -> list[Cause]:
    context = "in the context of inline volumes"
    causes = [
        forbidden_field(f"{field}.{name}", f"may not be specified {context}")
        for name in ("claimRef", "capacity", "nodeAffinity", "storageClassName")
        if spec.get(name)
    ]
    if spec.get("csi") is None:
        causes.append(required(f"{field}.csi", f"has to be specified {context}"))
    if spec.get("persistentVolumeReclaimPolicy", "Retain") != "Retain":
        causes.append(forbidden_field(f"{field}.persistentVolumeReclaimPolicy", f"may only be Retain {context}"))
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        detail = f"may not specify volumeMode other than Filesystem {context}"
        causes.append(forbidden_field(f"{field}.volumeMode", detail))
    return causes


def _capacity(spec: Document, field: str) -> list[Cause]:
    capacity = spec.get("capacity") or {}
    causes = [] if capacity else [required(field)]
    if set(capacity) != {"storage"}:
        causes.append(not_supported(field, capacity, ("storage",)))
    for name, value in capacity.items():
        causes += basic(value, f"{field}[{name}]") + positive(value, f"{field}[{name}]")
    return causes


def _source(spec: Document, field: str, name: str) -> list[Cause]:
    chosen = [kind for kind in _ORDER if spec.get(kind) is not None]
    if not chosen:
        return [required(field, "must specify a volume type")]
    kind, source = chosen[0], spec[chosen[0]]
    causes = _RULES[kind](source, f"{field}.{PLACES.get(kind, kind)}")
    causes += [forbidden_field(f"{field}.{one}", "may not specify more than 1 volume type") for one in chosen[1:]]
    if kind == "iscsi":
        portal = source.get("targetPortal") or ""
        causes += long_portal(source, f"{field}.iscsi.targetportal", portal, name)
    if kind == "local" and spec.get("nodeAffinity") is None:
        causes.append(required(f"{field}.nodeAffinity", "Local volume requires node affinity"))
    path = (spec.get("hostPath") or {}).get("path") or ""
    recycled = spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    if path and posixpath.normpath("/" + path.lstrip("/")) == "/" and path.startswith("/") and recycled:
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        causes.append(forbidden_field(f"{field}.persistentVolumeReclaimPolicy", detail))
    return causes


def _class_and_mode(spec: Document, field: str, *, inline: bool) -> list[Cause]:
    causes: list[Cause] = []
    name = spec.get("storageClassName")
    if name and not inline and (problem := names.dns_subdomain(name)):
        causes.append(invalid_value(f"{field}.storageClassName", name, problem))
    if (mode := spec.get("volumeMode")) is not None and not inline and mode not in VOLUME_MODES:
        causes.append(not_supported(f"{field}.volumeMode", mode, VOLUME_MODES))
    if (attributes := spec.get("volumeAttributesClassName")) is not None:
        here = f"{field}.volumeAttributesClassName"
        if not attributes:
            causes.append(required(here, "an empty string is disallowed"))
        elif problem := names.dns_subdomain(attributes):
            causes.append(invalid_value(here, attributes, problem))
        if spec.get("csi") is None:
            detail = "has to be specified when using volumeAttributesClassName"
            causes.append(required(f"{field}.csi", detail))
    return causes


def volume_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a PersistentVolume that must not."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    causes: list[Cause] = []
    was, now = _sources(before), _sources(after)
    if "csi" in was and "csi" in now and "controllerExpandSecretRef" not in was["csi"]:
        now["csi"] = {key: value for key, value in now["csi"].items() if key != "controllerExpandSecretRef"}
    if was != now:
        detail = "spec.persistentvolumesource is immutable after creation\n"
        detail += difference(was, now, "core.PersistentVolumeSource")
        causes.append(forbidden_field("spec.persistentvolumesource", detail))
    if before.get("volumeMode") != after.get("volumeMode"):
        causes.append(invalid_value("volumeMode", after.get("volumeMode"), _IMMUTABLE))
    if (affinity := before.get("nodeAffinity")) is not None and not _same_nodes(after.get("nodeAffinity"), affinity):
        detail = f"{_IMMUTABLE}, except for updating from beta label to GA"
        causes.append(invalid_value("nodeAffinity", after.get("nodeAffinity"), detail))
    if before.get("volumeAttributesClassName") is not None and after.get("volumeAttributesClassName") is None:
        detail = "update from non-nil value to nil is forbidden"
        causes.append(forbidden_field("spec.volumeAttributesClassName", detail))
    return causes


def _sources(spec: Document) -> Document:
    return {kind: spec[kind] for kind in _ORDER if spec.get(kind) is not None}


def _same_nodes(new: Document | None, old: Document) -> bool:
    if new == old:
        return True
    pairs = zip(_expressions(new or {}), _expressions(old), strict=False)
    renamed = {
        id(after): before for after, before in pairs if _GA_LABELS.get(before.get("key") or "") == after.get("key")
    }
    terms = [
        {
            **term,
            "matchExpressions": [
                {**item, "key": renamed[id(item)]["key"]} if id(item) in renamed else item
                for item in term.get("matchExpressions") or ()
            ],
        }
        for term in ((new or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    ]
    wanted = [
        {**term, "matchExpressions": list(term.get("matchExpressions") or ())}
        for term in (old.get("required") or {}).get("nodeSelectorTerms") or ()
    ]
    return new is not None and terms == wanted


def _expressions(affinity: Document) -> list[Document]:
    terms = (affinity.get("required") or {}).get("nodeSelectorTerms") or ()
    return [item for term in terms for item in term.get("matchExpressions") or ()]


def _secret(*members: str) -> Check:
    """A source whose reference to a Secret must name its namespace too."""
    rule = needs(*members)

    def check(source: Document, field: str) -> list[Cause]:
        causes = rule(source, field)
        if (secret := source.get("secretRef")) is not None:
            causes += needs("name", "namespace")(secret, f"{field}.secretRef")
        return causes

    return check


def _iscsi(source: Document, field: str) -> list[Cause]:
    causes = iscsi(source, field, odd="")
    if (secret := source.get("secretRef")) is not None:
        causes += needs("name")(secret, f"{field}.secretRef")
    return causes


def _glusterfs(source: Document, field: str) -> list[Cause]:
    causes, namespace = needs("endpoints", "path")(source, field), source.get("endpointsNamespace")
    if namespace is not None:
        problem = "if the endpointnamespace is set, it must be a valid namespace name"
        found = names.dns_label(namespace) if namespace else problem
        causes += [invalid_value(f"{field}.endpointsNamespace", namespace, found)] if found else []
    return causes


def _azure_file(source: Document, field: str) -> list[Cause]:
    causes = needs("secretName", "shareName")(source, field)
    if source.get("secretNamespace") == "":
        causes.append(required(f"{field}.secretNamespace"))
    return causes


def _local(source: Document, field: str) -> list[Cause]:
    return SOURCES["hostPath"]({"path": source.get("path")}, field)


def _storage_os(source: Document, field: str) -> list[Cause]:
    causes = storage_os(source, field)
    if (secret := source.get("secretRef")) is not None:
        causes += needs("namespace")(secret, f"{field}.secretRef")
    return causes


def _csi(source: Document, field: str) -> list[Cause]:
    causes = csi_driver(source.get("driver") or "", f"{field}.driver") + needs("volumeHandle")(source, field)
    for kind in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        if (secret := source.get(f"{kind}SecretRef")) is None:
            continue
        for member, rule in (("name", names.dns_subdomain), ("namespace", names.dns_label)):
            here, text = f"{field}.{kind}SecretRef.{member}", secret.get(member) or ""
            if not text:
                causes.append(required(here))
            elif problem := rule(text):
                causes.append(invalid_value(here, text, problem))
    return causes


_RULES: dict[str, Check] = {
    **SOURCES,
    "glusterfs": _glusterfs,
    "iscsi": _iscsi,
    "cinder": _secret("volumeID"),
    "azureFile": _azure_file,
    "local": _local,
    "storageos": _storage_os,
    "csi": _csi,
}
_ORDER = (
    *("hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte"),
    *("cephfs", "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk"),
    *("portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi"),
)
