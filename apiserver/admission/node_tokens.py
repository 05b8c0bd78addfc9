"""Which tokens a kubelet may ask for: those of its pods' service accounts, bound to the pod, for who the pod names.

A pod names the audiences of its tokens in projected volumes, and the drivers of its CSI volumes name theirs. For others
somebody has to allow the verb `request-serviceaccounts-token-audience` on the audience.

Source: Kubernetes' plugin/pkg/admission/noderestriction (validateNodeServiceAccountAudience).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from k8slite.errors import not_found

from ..authz.base import Attributes, Authorizer, Decision
from ..strategies.base import Document
from .base import Admission
from .node_pods import refused

Lookup = Callable[[str, str, str, str], Document | None]
_VERB = "request-serviceaccounts-token-audience"


async def check(admission: Admission, node: str, authorizer: Authorizer) -> None:
    """Raise ApiError for a token that is no business of the node."""
    if admission.operation != "CREATE" or admission.subresource != "token" or admission.object is None:
        return
    spec = admission.object.get("spec") or {}
    reference = spec.get("boundObjectRef") or {}
    if (reference.get("apiVersion"), reference.get("kind")) != ("v1", "Pod") or not reference.get("name"):
        raise refused(admission, "node requested token not bound to a pod")
    if not reference.get("uid"):
        raise refused(admission, "node requested token with a pod binding without a uid")
    pod = admission.context.lookup("", "pods", admission.namespace, reference["name"])
    if pod is None:
        raise not_found("pods", reference["name"])
    if pod["metadata"].get("uid") != reference["uid"]:
        raise refused(
            admission,
            f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. The object "
            "might have been deleted and then recreated",
        )
    if (pod.get("spec") or {}).get("nodeName") != node:
        raise refused(admission, "node requested token bound to a pod scheduled on a different node")
    await _audience(admission, pod, spec.get("audiences") or [], authorizer)


async def _audience(admission: Admission, pod: Document, wanted: list[str], authorizer: Authorizer) -> None:
    if len(wanted) > 1:
        raise refused(admission, "node may only request 0 or 1 audiences")
    audience = wanted[0] if wanted else ""
    if audience in _audiences(pod, admission.context.lookup):
        return
    asked = Attributes(admission.context.user, _VERB, resource=audience, name=admission.name, namespace="")
    if audience and (await authorizer.authorize(asked))[0] is Decision.ALLOW:
        return
    raise refused(admission, f'audience "{audience}" not found in pod spec volume')


def _audiences(pod: Document, lookup: Lookup) -> Iterator[str]:
    """The audiences that a pod names; an empty one is this server's own."""
    spec, metadata = pod.get("spec") or {}, pod["metadata"]
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if (token := source.get("serviceAccountToken")) is not None:
                yield token.get("audience") or ""
        driver = (volume.get("csi") or {}).get("driver") or ""
        if not driver and (claim := _claim_of(volume, metadata["name"])):
            driver = _driver(claim, metadata["namespace"], lookup)
        known = lookup("storage.k8s.io", "csidrivers", "", driver) if driver else None
        for request in ((known or {}).get("spec") or {}).get("tokenRequests") or ():
            yield request.get("audience") or ""


def _claim_of(volume: dict[str, Any], pod: str) -> str:
    if volume.get("ephemeral") is not None:
        return f"{pod}-{volume['name']}"
    return (volume.get("persistentVolumeClaim") or {}).get("claimName") or ""


def _driver(claim: str, namespace: str, lookup: Lookup) -> str:
    bound = lookup("", "persistentvolumeclaims", namespace, claim)
    name = ((bound or {}).get("spec") or {}).get("volumeName") or ""
    volume = lookup("", "persistentvolumes", "", name) if name else None
    return (((volume or {}).get("spec") or {}).get("csi") or {}).get("driver") or ""
