"""Who may decide on requests for certificates, sign them, and vouch for what a signer publishes.

Permissions are on `signers` of the group `certificates.k8s.io`, named as the signer is or `<domain>/*` for all of a
domain: `approve`, `sign`, and `attest`.

Source: Kubernetes documentation, "Certificates and Certificate Signing Requests: Signers, Authorization".
"""

from __future__ import annotations

from k8slite.errors import ApiError, forbidden
from k8slite.pki import KUBELET_CLIENTS

from ..authz.base import Attributes, Authorizer, Decision
from ..strategies.base import Document
from .base import Admission, Operation, Plugin

GROUP = "certificates.k8s.io"
_REQUESTS = frozenset({(GROUP, "certificatesigningrequests")})
_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_POWERFUL = ("system:masters", KUBELET_CLIENTS)
"""Groups that are obeyed without a look at roles: by authorizers, and by kubelets."""


class CertificateApproval(Plugin):
    """Who approves or denies a request must be allowed to for its signer."""

    kinds = _REQUESTS
    operations = frozenset[Operation]({"UPDATE"})

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, admission: Admission) -> None:
        """Refuse. Raises ApiError 403."""
        if admission.subresource == "approval":
            signer = _signer(admission.old)
            if not await _may(self._authorizer, admission, "approve", signer):
                raise _refused(admission, f'user not permitted to approve requests with signerName "{signer}"')


class CertificateSigning(Plugin):
    """Who writes a certificate, or says that there will be none, must be allowed to sign for the signer."""

    kinds = _REQUESTS
    operations = frozenset[Operation]({"UPDATE"})

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, admission: Admission) -> None:
        """Refuse. Raises ApiError 403."""
        if admission.subresource != "status":
            return
        new, old = ((each or {}).get("status") or {} for each in (admission.object, admission.old))
        if all(new.get(name) == old.get(name) for name in ("certificate", "conditions")):
            return
        signer = _signer(admission.old)
        if not await _may(self._authorizer, admission, "sign", signer):
            raise _refused(admission, f'user not permitted to sign requests with signerName "{signer}"')


class CertificateSubjectRestriction(Plugin):
    """Nobody asks for a client certificate of a group that needs no role."""

    kinds = _REQUESTS
    operations = frozenset[Operation]({"CREATE"})

    async def validate(self, admission: Admission) -> None:
        """Refuse. Raises ApiError 403."""
        if admission.subresource or _signer(admission.object) != _CLIENT_SIGNER:
            return
        asked = _organizations(admission.object or {})
        for group in _POWERFUL:
            if group in asked:
                raise _refused(admission, f"use of {_CLIENT_SIGNER} signer with {group} group is not allowed")


class ClusterTrustBundleAttest(Plugin):
    """Who publishes trust anchors in a signer's name must be allowed to speak for it."""

    kinds = frozenset({(GROUP, "clustertrustbundles")})

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, admission: Admission) -> None:
        """Refuse. Raises ApiError 403."""
        if admission.object is None or admission.subresource:
            return
        signer = _signer(admission.object)
        old = admission.old or {}
        same = admission.operation == "UPDATE" and admission.object.get("spec") == old.get("spec")
        if not signer or same:
            return
        if not await _may(self._authorizer, admission, "attest", signer):
            raise _refused(admission, f'user not permitted to attest for signerName "{signer}"')


async def _may(authorizer: Authorizer, admission: Admission, verb: str, signer: str) -> bool:
    domain = signer.partition("/")[0]
    for name in (signer, f"{domain}/*"):
        attributes = Attributes(admission.context.user, verb, group=GROUP, version="*", resource="signers", name=name)
        if (await authorizer.authorize(attributes))[0] is Decision.ALLOW:
            return True
    return False


def _signer(document: Document | None) -> str:
    return ((document or {}).get("spec") or {}).get("signerName") or ""


def _organizations(document: Document) -> tuple[str, ...]:
    """The organizations that a request asks for; none for bytes that are no request, which validation refuses."""
    from k8slite.signing_requests import Unreadable, read_encoded

    try:
        return read_encoded((document.get("spec") or {}).get("request") or "").organizations
    except Unreadable:
        return ()


def _refused(admission: Admission, detail: str) -> ApiError:
    return forbidden(admission.resource.plural, admission.name, detail, group=GROUP)
