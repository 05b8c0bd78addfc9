"""Rules for `metadata`, the same for every kind.

Source: Kubernetes' apimachinery, api/validation (ValidateObjectMeta, ValidateObjectMetaUpdate).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, required, too_long

from . import names

_ANNOTATIONS_LIMIT = 256 * 1024
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_FINALIZERS_OF_PROPAGATION = ("orphan", "foregroundDeletion")


def validate(metadata: Mapping[str, Any], *, namespaced: bool, name_rule: names.Rule) -> list[Cause]:
    """What is wrong with an object's metadata."""
    causes: list[Cause] = []
    name = metadata.get("name") or ""
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    elif problem := name_rule(name):
        causes.append(invalid_value("metadata.name", name, problem))
    # A base may end in what a suffix makes valid again.
    if (generate := metadata.get("generateName")) and (problem := name_rule(names.base(generate))):
        causes.append(invalid_value("metadata.generateName", generate, problem))
    namespace = metadata.get("namespace") or ""
    if namespaced:
        if not namespace:
            causes.append(required("metadata.namespace"))
        elif problem := names.dns_label(namespace):
            causes.append(invalid_value("metadata.namespace", namespace, problem))
    elif namespace:
        causes.append(forbidden_field("metadata.namespace", "not allowed on this type"))
    if labels := metadata.get("labels"):
        causes += label_map(labels, "metadata.labels")
    if annotations := metadata.get("annotations"):
        causes += annotations_map(annotations, "metadata.annotations")
    if owners := metadata.get("ownerReferences"):
        causes += _owners(owners)
    if finalizers := metadata.get("finalizers"):
        causes += _finalizers(finalizers)
    return causes


def validate_update(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    """What changed in an object's metadata that must not."""
    causes: list[Cause] = []
    for field in _IMMUTABLE:
        if new.get(field) != old.get(field):
            causes.append(invalid_value(f"metadata.{field}", new.get(field) or "", "field is immutable"))
    if old.get("deletionTimestamp"):
        added = [name for name in new.get("finalizers") or () if name not in (old.get("finalizers") or ())]
        if added:
            listed = "[]string{" + ", ".join(f'"{name}"' for name in added) + "}"
            detail = f"no new finalizers can be added if the object is being deleted, found new finalizers {listed}"
            causes.append(forbidden_field("metadata.finalizers", detail))
    return causes


def label_map(labels: Mapping[str, str], field: str) -> list[Cause]:
    """What is wrong with a map of labels."""
    causes: list[Cause] = []
    for key, value in labels.items():
        if problem := names.qualified_name(key):
            causes.append(invalid_value(field, key, problem))
        if problem := names.label_value(value):
            causes.append(invalid_value(field, value, problem))
    return causes


def template_metadata(metadata: Mapping[str, Any], field: str) -> list[Cause]:
    """What is wrong with the metadata of objects that are made later: only labels and annotations are taken over."""
    causes = annotations_map(metadata.get("annotations") or {}, f"{field}.annotations")
    causes += label_map(metadata.get("labels") or {}, f"{field}.labels")
    return causes + [
        forbidden_field(f"{field}.{name}", "cannot be set")
        for name, value in metadata.items()
        if value and name not in ("annotations", "labels")
    ]


def annotations_map(annotations: Mapping[str, str], field: str) -> list[Cause]:
    """What is wrong with a map of annotations."""
    causes: list[Cause] = []
    size = 0
    for key, value in annotations.items():
        size += len(key.encode()) + len(value.encode())
        if problem := names.qualified_name(key.lower()):
            causes.append(invalid_value(field, key, problem))
    if size > _ANNOTATIONS_LIMIT:
        causes.append(too_long(field, _ANNOTATIONS_LIMIT))
    return causes


def _owners(owners: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    controllers = []
    for index, owner in enumerate(owners):
        field = f"metadata.ownerReferences[{index}]"
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                causes.append(required(f"{field}.{name}", "must not be empty"))
        version = owner.get("apiVersion") or ""
        if version.count("/") > 1 or version.endswith("/"):
            causes.append(invalid_value(f"{field}.apiVersion", version, "must be <group>/<version> or <version>"))
        if version == "v1" and owner.get("kind") == "Event":
            causes.append(invalid_value(field, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            controllers.append(owner)
    if len(controllers) > 1:
        detail = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0].get('kind')}/{controllers[0].get('name')} and "
            f"{controllers[1].get('kind')}/{controllers[1].get('name')}"
        )
        causes.append(invalid_value("metadata.ownerReferences", owners, detail))
    return causes


def _finalizers(finalizers: list[str]) -> list[Cause]:
    causes: list[Cause] = []
    for index, name in enumerate(finalizers):
        if problem := names.qualified_name(name):
            causes.append(invalid_value("metadata.finalizers", name, problem))
        elif "/" not in name and name not in (*_FINALIZERS_OF_PROPAGATION, "kubernetes"):
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            causes.append(invalid_value(f"metadata.finalizers[{index}]", name, detail))
    if all(name in finalizers for name in _FINALIZERS_OF_PROPAGATION):
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        causes.append(invalid_value("metadata.finalizers", finalizers, detail))
    return causes
