"""Defaults of the group `certificates.k8s.io`.

Source: Kubernetes API reference, PodCertificateRequestSpec.
"""

from __future__ import annotations

from typing import Any

_DAY = 86_400


def podcertificaterequest(obj: dict[str, Any]) -> None:
    """Ask for a certificate that lives a day at most."""
    obj.setdefault("spec", {}).setdefault("maxExpirationSeconds", _DAY)
