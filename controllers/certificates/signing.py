"""Signs approved requests for Kubernetes' own signers, each by its authority and its rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from k8slite.controller import DONE, Controller, Result
from k8slite.kinds.certificates import CertificateSigningRequest
from k8slite.kinds.resources import CERTIFICATE_SIGNING_REQUESTS

from ..context import Context, Runnable
from .authorities import authorities
from .plan import lifetime, read, refusal, wants_signature
from .writing import condition, write


def build(context: Context) -> Sequence[Runnable]:
    """The controller, if any signer has an authority. Raises ConfigError for one that cannot be read."""
    signing = SigningSync(context)
    return [signing.controller] if signing.authorities else []


class SigningSync:
    """Syncs requests that were approved. What no authority is there for is left alone."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.authorities = authorities(context.config)
        self._longest = timedelta(seconds=context.config.cluster_signing_duration)
        self._requests = context.informers.of(CERTIFICATE_SIGNING_REQUESTS)
        self.controller = Controller("certificate", self.sync, clock=context.clock, workers=2)
        self._requests.add_handler(self._changed)

    def _changed(self, old: CertificateSigningRequest | None, new: CertificateSigningRequest | None) -> None:
        if new is not None and wants_signature(new):
            self.controller.queue.add(new.key)

    async def sync(self, key: str) -> Result:
        """One request. Raises PkiError if its authority has ended."""
        found = self._requests.get(key)
        if found is None or found.deleting or not wants_signature(found) or (asked := read(found)) is None:
            return DONE
        if (authority := self.authorities.get(found.spec.signer_name)) is None:
            return DONE
        client, now = self._context.client, self._context.clock.now()
        if problem := refusal(found, asked):
            failed = condition("Failed", "SignerValidationFailure", problem, now=now)
            await write(client, found, "status", condition=failed)
            return DONE
        certificate = authority.current().sign(
            asked, usages=found.spec.usages, lifetime=lifetime(found, self._longest), now=now
        )
        await write(client, found, "status", certificate=certificate)
        return DONE
