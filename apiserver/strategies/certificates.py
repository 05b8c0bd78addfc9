"""`certificates.k8s.io`: requests and trust.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from k8slite.clock import timestamp
from k8slite.errors import Cause

from ..defaults import certificates as defaults
from ..validation import certificates as rules
from .base import Context, Document, Strategy
from .simple import SimpleStrategy, fields


def _any_name(name: str) -> str | None:
    """Nobody cares what a request is called."""
    return None


class CertificateRequestStrategy(Strategy):
    """A request keeps what was asked for, and by whom."""

    has_generation = False
    selectable_fields = fields("spec.signerName")
    name_rule = staticmethod(_any_name)

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Note who asks."""
        obj["status"] = {}
        spec, user = obj.setdefault("spec", {}), context.user
        for name in ("username", "uid", "groups", "extra"):
            spec.pop(name, None)
        spec["username"] = user.name
        if user.uid:
            spec["uid"] = user.uid
        if user.groups:
            spec["groups"] = list(user.groups)
        if user.extra:
            spec["extra"] = {key: list(values) for key, values in user.extra.items()}

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """The spec is for ever."""
        obj["spec"] = old.get("spec") or {}

    def prepare_status_update(self, obj: Document, old: Document, context: Context) -> None:
        """Approval and denial have an endpoint of their own: here they stay as they are."""
        status, known = obj.setdefault("status", {}), (old.get("status") or {}).get("conditions") or []
        for kind in rules.SIGNED_ONCE:
            are, were = ([c for c in each if c.get("type") == kind] for each in (status.get("conditions") or (), known))
            if len(are) == len(were):  # validation speaks of what was added or taken away
                kept = iter(were)
                status["conditions"] = [
                    next(kept) if c.get("type") == kind else c for c in status.get("conditions") or ()
                ]
        if not status.get("conditions"):
            status.pop("conditions", None)
        stamp_conditions(status, known, context)

    def prepare_approval(self, obj: Document, old: Document, context: Context) -> None:
        """Say when conditions were set."""
        if status := obj.get("status"):
            stamp_conditions(status, (old.get("status") or {}).get("conditions") or [], context)

    def validate(self, obj: Document) -> list[Cause]:
        """A request's rules."""
        return rules.signing_request(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """What was signed, approved or denied stays so."""
        return rules.signing_request_update(obj, old)

    def validate_subresource(self, subresource: str, obj: Document, old: Document) -> list[Cause]:
        """Who may write the status may not approve."""
        causes = super().validate_subresource(subresource, obj, old)
        return causes + (rules.signing_request_decisions(obj, old) if subresource == "status" else [])


def stamp_conditions(status: Document, known: list[Document], context: Context) -> None:
    """Fill in when conditions were written, and when they began to hold."""
    now = timestamp(context.now)
    for condition in status.get("conditions") or ():
        condition.setdefault("lastUpdateTime", now)
        if condition.get("lastTransitionTime"):
            continue
        same = [
            c for c in known if c.get("type") == condition.get("type") and c.get("status") == condition.get("status")
        ]
        condition["lastTransitionTime"] = (same[0].get("lastTransitionTime") if same else None) or now


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("certificates.k8s.io", "certificatesigningrequests"): CertificateRequestStrategy(),
    ("certificates.k8s.io", "clustertrustbundles"): SimpleStrategy(
        validate=rules.trust_bundle,
        validate_create=rules.trust_anchors,
        validate_update=rules.trust_bundle_update,
        name_rule=_any_name,
        unconditional_update=False,
        fields=fields("spec.signerName"),
    ),
    ("certificates.k8s.io", "podcertificaterequests"): SimpleStrategy(
        default=defaults.podcertificaterequest,
        validate=rules.pod_certificate_request,
        validate_update=rules.pod_certificate_request_update,
        initial_status={},
        unconditional_update=False,
        fields=fields("spec.signerName", "spec.podName", "spec.nodeName"),
    ),
}
