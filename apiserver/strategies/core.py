"""The kinds of the core group that need no more than data: events, endpoints, volumes, accounts, quotas.

Source: Kubernetes' registry/core/*/strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause, forbidden_field, invalid_value, required

from ..defaults import core as defaults
from ..validation import pods as pod_rules
from .base import Document, Strategy
from .simple import SimpleStrategy, field, fields

_OBJECT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _event_source(event: Document) -> str:
    return field("source.component")(event) or field("reportingComponent")(event)


def _validate_event(event: Document) -> list[Cause]:
    subject = (event.get("involvedObject") or {}).get("namespace") or ""
    namespace = event["metadata"].get("namespace") or ""
    # Events of cluster-scoped objects lie in `default`.
    if (subject and subject != namespace) or (not subject and namespace not in ("default", "kube-system")):
        return [invalid_value("involvedObject.namespace", subject, "does not match event.namespace")]
    return []


def _validate_claim(claim: Document) -> list[Cause]:
    spec = claim.get("spec") or {}
    causes: list[Cause] = []
    if not spec.get("accessModes"):
        causes.append(required("spec.accessModes", "at least 1 access mode is required"))
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        causes.append(required("spec.resources[storage]"))
    return causes


def _claim_update(new: Document, old: Document) -> list[Cause]:
    free = ("resources", "volumeName", "volumeAttributesClassName")
    before = {name: value for name, value in (old.get("spec") or {}).items() if name not in free}
    after = {name: value for name, value in (new.get("spec") or {}).items() if name not in free}
    volume = (old.get("spec") or {}).get("volumeName")
    if before == after and (not volume or volume == (new.get("spec") or {}).get("volumeName")):
        return []
    detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    return [forbidden_field("spec", detail)]


def _validate_volume(volume: Document) -> list[Cause]:
    spec = volume.get("spec") or {}
    causes: list[Cause] = []
    if not spec.get("accessModes"):
        causes.append(required("spec.accessModes"))
    if not (spec.get("capacity") or {}).get("storage"):
        causes.append(required("spec.capacity"))
    return causes


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "events"): SimpleStrategy(
        validate=_validate_event,
        create_on_update=True,
        propagation="",
        fields={
            **fields(*(f"involvedObject.{name}" for name in _OBJECT)),
            **fields("reason", "reportingComponent", "type"),
            "source": _event_source,
        },
    ),
    ("", "endpoints"): SimpleStrategy(default=defaults.endpoints, create_on_update=True),
    ("", "serviceaccounts"): SimpleStrategy(returns_deleted=True),
    ("", "podtemplates"): SimpleStrategy(
        default=defaults.podtemplate,
        validate=lambda obj: pod_rules.template(obj.get("template"), "template"),
        generation=True,
        create_on_update=True,
        returns_deleted=True,
    ),
    ("", "persistentvolumes"): SimpleStrategy(
        default=defaults.persistentvolume,
        validate=_validate_volume,
        initial_status={"phase": "Pending"},
        returns_deleted=True,
        status_keeps_labels=False,
    ),
    ("", "persistentvolumeclaims"): SimpleStrategy(
        default=defaults.persistentvolumeclaim,
        validate=_validate_claim,
        validate_update=_claim_update,
        initial_status={"phase": "Pending"},
        returns_deleted=True,
    ),
    ("", "limitranges"): SimpleStrategy(default=defaults.limitrange, create_on_update=True),
    ("", "resourcequotas"): SimpleStrategy(initial_status={}, returns_deleted=True),
}
