"""DenyServiceExternalIPs: no Service takes an external address that it did not have before.

Source: Kubernetes documentation, "Admission Controllers: DenyServiceExternalIPs"; CVE-2020-8554.
"""

from __future__ import annotations

from ..strategies.base import Document
from .base import Admission, Plugin, refused


class DenyServiceExternalIPs(Plugin):
    """Refuses; changes nothing."""

    kinds = frozenset({("", "services")})

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for a new external address."""
        if _addresses(admission.object) - _addresses(admission.old):
            raise refused(admission, "Use of external IPs is denied by admission control")


def _addresses(service: Document | None) -> set[str]:
    return set(((service or {}).get("spec") or {}).get("externalIPs") or ())
