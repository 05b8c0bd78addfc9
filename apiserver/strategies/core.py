"""The kinds of the core group that need no more than data: events, endpoints, volumes, accounts, quotas.

Source: Kubernetes' registry/core/*/strategy.go.
"""

from __future__ import annotations

from k8slite.clock import timestamp

from ..defaults import core as defaults
from ..validation import claims, endpoints, events, persistent_volumes, quota, storage_warnings
from ..validation import pods as pod_rules
from ..validation.pod_warnings import pod_warnings
from .base import Context, Document, Strategy
from .simple import SimpleStrategy, field, fields

_OBJECT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _event_source(event: Document) -> str:
    return field("source.component")(event) or field("reportingComponent")(event)


_EVENT_FIELDS = {
    **fields(*(f"involvedObject.{name}" for name in _OBJECT)),
    **fields("reason", "reportingComponent", "type"),
    "source": _event_source,
}


class PersistentVolumeStrategy(SimpleStrategy):
    """A volume tells when its phase changed last."""

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Nobody has looked at it yet."""
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": timestamp(context.now)}

    def prepare_status_update(self, obj: Document, old: Document, context: Context) -> None:
        """Note the time of a new phase, unless the writer did."""
        status, before = obj.setdefault("status", {}), old.get("status") or {}
        when = "lastPhaseTransitionTime"
        if status.get("phase") == before.get("phase"):
            if when in before:
                status.setdefault(when, before[when])
        elif status.get(when) in (None, before.get(when)):
            status[when] = timestamp(context.now)


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "events"): SimpleStrategy(
        validate=endpoints.event, create_on_update=True, propagation="", fields=_EVENT_FIELDS
    ),
    ("events.k8s.io", "events"): SimpleStrategy(
        validate=endpoints.event,
        validate_create=events.complete,
        validate_update=events.fixed,
        create_on_update=True,
        propagation="",
        fields=_EVENT_FIELDS,
    ),
    ("", "endpoints"): SimpleStrategy(default=defaults.endpoints, validate=endpoints.endpoints, create_on_update=True),
    ("", "serviceaccounts"): SimpleStrategy(default=defaults.serviceaccount, returns_deleted=True),
    ("", "podtemplates"): SimpleStrategy(
        default=defaults.podtemplate,
        validate=lambda obj: pod_rules.template(obj.get("template") or {}, "template"),
        warn=lambda obj, old: pod_warnings(obj.get("template") or {}, "template."),
        generation=True,
        create_on_update=True,
        returns_deleted=True,
    ),
    ("", "persistentvolumes"): PersistentVolumeStrategy(
        default=defaults.persistentvolume,
        validate=persistent_volumes.volume,
        validate_update=persistent_volumes.volume_update,
        validate_status=lambda obj, old: [],
        warn=storage_warnings.of_volume,
        returns_deleted=True,
        status_keeps_labels=False,
    ),
    ("", "persistentvolumeclaims"): SimpleStrategy(
        default=defaults.persistentvolumeclaim,
        validate=claims.claim,
        validate_update=claims.claim_update,
        validate_status=claims.claim_status,
        warn=storage_warnings.of_claim,
        initial_status={"phase": "Pending"},
        returns_deleted=True,
    ),
    ("", "limitranges"): SimpleStrategy(default=defaults.limitrange, validate=quota.limit_range, create_on_update=True),
    ("", "resourcequotas"): SimpleStrategy(
        validate=quota.resource_quota,
        validate_update=quota.resource_quota_update,
        validate_status=quota.resource_quota_status,
        initial_status={},
        returns_deleted=True,
    ),
}
