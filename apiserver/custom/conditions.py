"""The status of a definition: a pure decision from the document and the names that others of its group have.

Source: Kubernetes' apiextensions-apiserver, controller/{status,establish,apiapproval,nonstructuralschema}; the API
approval policy for groups of the community.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from ..validation.webhooks import ca_bundle
from . import naming
from .definition import is_true

Document = dict[str, Any]
_APPROVED = "api-approved.kubernetes.io"
_POLICY = "see https://github.com/kubernetes/enhancements/pull/1111"


def status_of(document: Document, others: Iterable[Document], *, now: str) -> Document:
    """The status that a definition should have; equal to the one it has if there is nothing to tell.

    `others` are the names accepted of the other definitions of its group.
    """
    status: Document = dict(document.get("status") or {})
    conditions = [dict(each) for each in status.get("conditions") or ()]
    names = naming.decide(document, others)
    if names.reason:
        put(conditions, "NamesAccepted", "False", names.reason, names.message, now=now)
        if not is_true(document, "Established"):
            put(conditions, "Established", "False", "NotAccepted", "not all names are accepted", now=now)
    else:
        put(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now=now)
        if is_true(document, "Established"):
            pass
        elif _distrusts_all(document):
            message = "The conversion webhook CABundle is invalid"
            put(conditions, "Established", "False", "InvalidCABundle", message, now=now)
        else:
            message = "the initial names have been accepted"
            put(conditions, "Established", "True", "InitialNamesAccepted", message, now=now)
    approval = _approval(document)
    if approval is not None:
        put(conditions, "KubernetesAPIApprovalPolicyConformant", *approval, now=now)
    return {**status, "conditions": conditions, "acceptedNames": names.accepted}


def put(conditions: list[Document], name: str, status: str, reason: str, message: str, *, now: str) -> None:
    """Set a condition in a list; the time of the last transition changes with the status alone."""
    wanted = {"type": name, "status": status, "reason": reason, "message": message}
    for known in conditions:
        if known.get("type") == name:
            if known.get("status") != status:
                known["lastTransitionTime"] = now
            known.update(wanted)
            return
    conditions.append({"type": name, "status": status, "lastTransitionTime": now, "reason": reason, "message": message})


def with_condition(document: Document, name: str, status: str, reason: str, message: str, *, now: str) -> Document:
    """The definition with a condition set; the given one is not changed."""
    conditions = [dict(each) for each in (document.get("status") or {}).get("conditions") or ()]
    put(conditions, name, status, reason, message, now=now)
    return {**document, "status": {**(document.get("status") or {}), "conditions": conditions}}


def is_served(document: Document) -> bool:
    """Whether its resources are to be served: it has its names, or had them once."""
    return is_true(document, "Established")


def _distrusts_all(document: Document) -> bool:
    """Whether the bundle for its webhook is none, so that nobody could ever be asked."""
    webhook = (document["spec"].get("conversion") or {}).get("webhook") or {}
    return bool(ca_bundle(webhook.get("clientConfig") or {}, ""))


def _approval(document: Document) -> tuple[str, str, str] | None:
    """Status, reason and message of the policy's condition; None for groups that it does not protect."""
    group = document["spec"]["group"]
    if group not in ("k8s.io", "kubernetes.io") and not group.endswith((".k8s.io", ".kubernetes.io")):
        return None
    given = (document["metadata"].get("annotations") or {}).get(_APPROVED) or ""
    if not given:
        return "False", "MissingAnnotation", f'protected groups must have approval annotation "{_APPROVED}", {_POLICY}'
    if given.startswith("unapproved"):
        return "False", "UnapprovedAnnotation", f'not approved: "{given}"'
    if (parts := urlsplit(given)).scheme and parts.netloc:
        return "True", "ApprovedAnnotation", f"approved in {given}"
    detail = f'with either a URL or a reason starting with "unapproved", {_POLICY}'
    return "False", "InvalidAnnotation", f'protected groups must have approval annotation "{_APPROVED}" {detail}'
