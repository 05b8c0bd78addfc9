"""`certificates.k8s.io`: requests and trust.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause, required

from ..validation import names
from .base import Context, Document, Strategy
from .simple import SimpleStrategy, fields


class CertificateRequestStrategy(Strategy):
    """A request keeps what was asked for, and by whom."""

    has_generation = False
    selectable_fields = fields("spec.signerName")

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
        spec.setdefault("usages", ["digital signature", "key encipherment"])

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """The spec is for ever."""
        obj["spec"] = old.get("spec") or {}

    def prepare_status_update(self, obj: Document, old: Document, context: Context) -> None:
        """Approval has an endpoint of its own."""
        conditions = (old.get("status") or {}).get("conditions")
        status = obj.setdefault("status", {})
        if conditions is not None:
            status["conditions"] = conditions

    def validate(self, obj: Document) -> list[Cause]:
        """A signer and a request are there."""
        spec = obj.get("spec") or {}
        return [required(f"spec.{name}") for name in ("request", "signerName") if not spec.get(name)]


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("certificates.k8s.io", "certificatesigningrequests"): CertificateRequestStrategy(),
    ("certificates.k8s.io", "clustertrustbundles"): SimpleStrategy(
        name_rule=lambda name: names.dns_subdomain(name.replace(":", ".")),
        unconditional_update=False,
        fields=fields("spec.signerName"),
    ),
    ("certificates.k8s.io", "podcertificaterequests"): SimpleStrategy(
        initial_status={}, fields=fields("spec.signerName", "spec.podName", "spec.nodeName")
    ),
}
