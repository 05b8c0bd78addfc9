"""Certificate requests, one at a time: what `plan.py` decides is written, and signed by the cluster's authority."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from k8slite.clock import timestamp
from k8slite.config import ConfigError, ControllerManagerConfig
from k8slite.controller import DONE, Controller, Result, TryAgain
from k8slite.kinds.certificates import CertificateSigningRequest
from k8slite.kinds.resources import CERTIFICATE_SIGNING_REQUESTS
from k8slite.pki import Authority, KeyPair, PkiError

from ..context import Context, Runnable
from .plan import Recognized, lifetime, read, recognize, refusal, removal, wants_decision, wants_signature

_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def build(context: Context) -> Sequence[Runnable]:
    """The controller. Raises ConfigError for an authority that cannot be read."""
    return [CertificateSync(context, _authority(context.config)).controller]


def _authority(config: ControllerManagerConfig) -> Authority | None:
    certificate, key = config.cluster_signing_cert_file, config.cluster_signing_key_file
    if certificate is None or key is None:
        return None
    try:
        return Authority.read(KeyPair(certificate, key))
    except PkiError as error:
        raise ConfigError(f"clusterSigningCertFile: {error}") from error


class CertificateSync:
    """Syncs requests. Without an authority it approves and removes, and signs nothing."""

    def __init__(self, context: Context, authority: Authority | None) -> None:
        self._context = context
        self._authority = authority
        self._longest = timedelta(seconds=context.config.cluster_signing_duration)
        self._requests = context.informers.of(CERTIFICATE_SIGNING_REQUESTS)
        self.controller = Controller("certificates", self.sync, clock=context.clock, workers=2)
        self._requests.add_handler(self._changed)

    def _changed(self, old: CertificateSigningRequest | None, new: CertificateSigningRequest | None) -> None:
        if new is not None:
            self.controller.queue.add(new.key)

    async def sync(self, key: str) -> Result:
        """One request."""
        found = self._requests.get(key)
        if found is None or found.deleting:
            return DONE
        now = self._context.clock.now()
        due = removal(found)
        if due is not None and due <= now:
            await self._context.client.delete(CERTIFICATE_SIGNING_REQUESTS, found.name, uid=found.uid)
            return DONE
        asked = read(found)
        if asked is not None and wants_decision(found):
            await self._approve(found, recognize(found, asked), now=now)
        elif asked is not None and wants_signature(found) and self._authority is not None:
            if problem := refusal(found, asked):
                await self._write(found, "status", _condition("Failed", "SignerValidationFailure", problem, now))
            else:
                certificate = self._authority.sign(
                    asked, usages=found.spec.usages, lifetime=lifetime(found, self._longest), now=now
                )
                await self._write(found, "status", certificate=certificate)
        return Result((due - now).total_seconds()) if due is not None else DONE

    async def _approve(
        self, found: CertificateSigningRequest, recognized: Sequence[Recognized], *, now: datetime
    ) -> None:
        for each in recognized:
            if await self._may(found, each.subresource):
                await self._write(found, "approval", _condition("Approved", "AutoApproved", each.message, now))
                return
        if recognized:
            tried = [each.subresource for each in recognized]
            raise TryAgain(f"recognized csr {found.name!r} as {tried}, but its user may not have it approved")

    async def _may(self, found: CertificateSigningRequest, subresource: str) -> bool:
        spec = found.spec
        attributes = {
            "group": "certificates.k8s.io",
            "resource": "certificatesigningrequests",
            "verb": "create",
            "version": "*",
            "subresource": subresource,
        }
        who = {"user": spec.username, "uid": spec.uid, "groups": spec.groups, "extra": spec.extra}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {**who, "resourceAttributes": attributes},
        }
        answer = await self._context.client.request("POST", _REVIEWS, body=body)
        return bool((answer.get("status") or {}).get("allowed"))

    async def _write(
        self,
        found: CertificateSigningRequest,
        subresource: str,
        condition: dict[str, Any] | None = None,
        *,
        certificate: bytes = b"",
    ) -> None:
        body = await self._context.client.request("GET", CERTIFICATE_SIGNING_REQUESTS.path(name=found.name))
        if body["metadata"]["resourceVersion"] != found.metadata.resource_version:
            raise TryAgain(f"{found.name} has changed")  # it comes again with the change
        status = body.setdefault("status", {})
        if condition is not None:
            status["conditions"] = [*(status.get("conditions") or ()), condition]
        if certificate:
            status["certificate"] = base64.b64encode(certificate).decode()
        await self._context.client.update(CERTIFICATE_SIGNING_REQUESTS, found.name, body, subresource=subresource)


def _condition(kind: str, reason: str, message: str, now: datetime) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastUpdateTime": timestamp(now),
        "lastTransitionTime": timestamp(now),
    }
