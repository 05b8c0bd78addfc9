"""Approves what kubelets ask for, if whoever asks may have it approved."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result, TryAgain
from k8slite.kinds.certificates import CertificateSigningRequest
from k8slite.kinds.resources import CERTIFICATE_SIGNING_REQUESTS

from ..context import Context, Runnable
from .plan import read, recognize, wants_decision
from .writing import condition, write

_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [ApprovingSync(context).controller]


class ApprovingSync:
    """Syncs requests that nobody has decided on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._requests = context.informers.of(CERTIFICATE_SIGNING_REQUESTS)
        self.controller = Controller("certificate_approving", self.sync, clock=context.clock, workers=2)
        self._requests.add_handler(self._changed)

    def _changed(self, old: CertificateSigningRequest | None, new: CertificateSigningRequest | None) -> None:
        if new is not None and wants_decision(new):
            self.controller.queue.add(new.key)

    async def sync(self, key: str) -> Result:
        """One request. Raises TryAgain for a kubelet's whose user may not have it approved: roles may still come."""
        found = self._requests.get(key)
        if found is None or found.deleting or not wants_decision(found) or (asked := read(found)) is None:
            return DONE
        recognized = recognize(found, asked)
        for each in recognized:
            if await self._may(found, each.subresource):
                now = self._context.clock.now()
                approved = condition("Approved", "AutoApproved", each.message, now=now)
                await write(self._context.client, found, "approval", condition=approved)
                return DONE
        if recognized:
            tried = " ".join(each.subresource for each in recognized)
            raise TryAgain(f'recognized csr "{found.name}" as [{tried}] but subject access review was not approved')
        return DONE

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
