"""Writing what was decided of a certificate request, against the very request that was judged."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from k8slite.client import Client
from k8slite.clock import timestamp
from k8slite.controller import TryAgain
from k8slite.kinds.certificates import CertificateSigningRequest
from k8slite.kinds.resources import CERTIFICATE_SIGNING_REQUESTS


async def write(
    client: Client,
    found: CertificateSigningRequest,
    subresource: str,
    *,
    condition: dict[str, Any] | None = None,
    certificate: bytes = b"",
) -> None:
    """Add a condition or the certificate (PEM). Raises TryAgain if the request has changed since it was read."""
    body = await client.request("GET", CERTIFICATE_SIGNING_REQUESTS.path(name=found.name))
    if body["metadata"]["resourceVersion"] != found.metadata.resource_version:
        raise TryAgain(f"{found.name} has changed")  # it comes again with the change
    status = body.setdefault("status", {})
    if condition is not None:
        status["conditions"] = [*(status.get("conditions") or ()), condition]
    if certificate:
        status["certificate"] = base64.b64encode(certificate).decode()
    await client.update(CERTIFICATE_SIGNING_REQUESTS, found.name, body, subresource=subresource)


def condition(kind: str, reason: str, message: str, *, now: datetime) -> dict[str, Any]:
    """A condition of a request, as it is written."""
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastUpdateTime": timestamp(now),
        "lastTransitionTime": timestamp(now),
    }
