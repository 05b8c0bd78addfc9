"""`resource.k8s.io`: devices.

Source: Kubernetes' registry of the group, */strategy.go; resource/v1/defaults.go (when a taint came).
"""

from __future__ import annotations

from k8slite.clock import timestamp

from ..defaults import resource as defaults
from ..validation import device_claims as claims
from ..validation import device_slices as slices
from .base import Context, Document, Strategy
from .simple import SimpleStrategy, fields

_GROUP = "resource.k8s.io"


class _Tainting(SimpleStrategy):
    """Objects that carry taints: each says since when, where its user did not."""

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Date the taints."""
        super().prepare_create(obj, context)
        _date(obj, context)

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """Date the new taints."""
        super().prepare_update(obj, old, context)
        _date(obj, context)


def _date(obj: Document, context: Context) -> None:
    spec = obj.get("spec") or {}
    taints = [taint for device in spec.get("devices") or () for taint in device.get("taints") or ()]
    for taint in (*taints, *([spec["taint"]] if "taint" in spec else [])):
        taint.setdefault("timeAdded", timestamp(context.now))


STRATEGIES: dict[tuple[str, str], Strategy] = {
    (_GROUP, "resourceclaims"): SimpleStrategy(
        default=defaults.resourceclaim,
        validate=claims.resource_claim,
        validate_update=claims.resource_claim_update,
        initial_status={},
    ),
    (_GROUP, "resourceclaimtemplates"): SimpleStrategy(
        default=defaults.resourceclaimtemplate,
        validate=claims.resource_claim_template,
        validate_update=claims.resource_claim_template_update,
    ),
    (_GROUP, "resourceslices"): _Tainting(
        validate=slices.resource_slice,
        validate_update=slices.resource_slice_update,
        generation=True,
        fields=fields("spec.nodeName", "spec.driver"),
    ),
    (_GROUP, "deviceclasses"): SimpleStrategy(validate=claims.device_class, generation=True),
    (_GROUP, "devicetaintrules"): _Tainting(validate=slices.device_taint_rule, generation=True, initial_status={}),
}
