"""Reviews: objects that are never stored, only answered. Who am I, what may I do, whose token is this.

`kubectl auth can-i` and `kubectl auth whoami` ask these; so do webhooks and anything else that authorizes on its own.

Source: Kubernetes API reference, authentication.k8s.io/v1 and authorization.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k8slite.clock import Clock, timestamp
from k8slite.errors import bad_request, invalid, invalid_value

from ..authn.base import Refused, User
from ..authn.tokens import Tokens
from ..authz.base import Attributes, Authorizer, Decision
from ..authz.chain import MASTERS
from ..authz.rbac import RBAC
from ..strategies.base import Document

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


class Reviews:
    """Answers reviews; each method takes the body of a POST and returns it with its status."""

    def __init__(
        self,
        *,
        tokens: Tokens,
        authorizer: Authorizer,
        rbac: RBAC,
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._authorizer = authorizer
        self._rbac = rbac
        self._clock = clock

    async def review(self, plural: str, body: Document, *, user: User, namespace: str = "") -> Document:
        """Answer a review by the plural of its resource. Raises ApiError."""
        match plural:
            case "selfsubjectreviews":
                status = {"userInfo": _user_info(user)}
            case "tokenreviews":
                status = await self._token(body)
            case "selfsubjectaccessreviews":
                status = await self._access("SelfSubjectAccessReview", body, user=user)
            case "subjectaccessreviews" | "localsubjectaccessreviews":
                status = await self._subject_access(plural, body, namespace=namespace)
            case "selfsubjectrulesreviews":
                status = self._rules(body, user=user)
            case _:
                raise bad_request(f"{plural} is not a review")
        metadata = dict(body.get("metadata") or {})
        if plural == "selfsubjectreviews":
            metadata["creationTimestamp"] = timestamp(self._clock.now())
        spec = dict(body.get("spec") or {})
        spec.pop("token", None)  # an answer never repeats a secret
        answered: Document = {"kind": body["kind"], "apiVersion": body["apiVersion"], "metadata": metadata}
        if plural != "selfsubjectreviews":
            answered["spec"] = spec
        answered["status"] = status
        return answered

    async def _access(self, kind: str, body: Document, *, user: User) -> dict[str, Any]:
        spec = body.get("spec") or {}
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (resource is None) == (path is None):
            detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            raise invalid(kind, "", [invalid_value("spec.resourceAttributes", resource, detail)], group=AUTHORIZATION)
        decision, reason = await self._authorizer.authorize(attributes_of(spec, user=user))
        status: dict[str, Any] = {"allowed": decision is Decision.ALLOW}
        if decision is Decision.DENY:
            status["denied"] = True
        if reason:
            status["reason"] = reason
        return status

    async def _subject_access(self, plural: str, body: Document, *, namespace: str) -> dict[str, Any]:
        spec = body.get("spec") or {}
        local = plural == "localsubjectaccessreviews"
        kind = "LocalSubjectAccessReview" if local else "SubjectAccessReview"
        if not spec.get("user") and not spec.get("groups"):
            detail = "at least one of user or group must be specified"
            raise invalid(kind, "", [invalid_value("spec.user", spec.get("user", ""), detail)], group=AUTHORIZATION)
        if local and (spec.get("resourceAttributes") or {}).get("namespace") != namespace:
            detail = "must match metadata.namespace"
            cause = invalid_value("spec.resourceAttributes.namespace", namespace, detail)
            raise invalid(kind, "", [cause], group=AUTHORIZATION)
        extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
        subject = User(
            spec.get("user", ""), uid=spec.get("uid", ""), groups=tuple(spec.get("groups") or ()), extra=extra
        )
        return await self._access(kind, body, user=subject)

    def _rules(self, body: Document, *, user: User) -> dict[str, Any]:
        namespace = (body.get("spec") or {}).get("namespace") or ""
        if not namespace:
            raise bad_request("no namespace on request")
        held, problems = self._rbac.rules_for(user, namespace)
        documents = [rule.document() for rule in held]
        if MASTERS in user.groups:
            documents += [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
            documents += [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
        status: dict[str, Any] = {
            "resourceRules": [rule for rule in documents if rule.get("resources")],
            "nonResourceRules": [rule for rule in documents if rule.get("nonResourceURLs")],
            "incomplete": bool(problems),
        }
        if problems:
            status["evaluationError"] = ", ".join(problems)
        return status

    async def _token(self, body: Document) -> dict[str, Any]:
        spec = body.get("spec") or {}
        if not (token := spec.get("token", "")):
            raise bad_request("token is required for TokenReview in authentication")
        try:
            known = await self._tokens.verify(token, tuple(spec.get("audiences") or ()))
        except Refused as refused:
            return {"user": {}, "error": str(refused)}
        return {"authenticated": True, "user": _user_info(known.user), "audiences": list(known.audiences)}


def attributes_of(spec: Mapping[str, Any], *, user: User) -> Attributes:
    """The request that an access review describes."""
    if (path := spec.get("nonResourceAttributes")) is not None:
        return Attributes(user, path.get("verb", ""), path=path.get("path", ""))
    resource = spec.get("resourceAttributes") or {}
    return Attributes(
        user,
        resource.get("verb", ""),
        group=resource.get("group", ""),
        version=resource.get("version", ""),
        # Without a resource the review asks for all of them.
        resource=resource.get("resource") or "*",
        subresource=resource.get("subresource", ""),
        namespace=resource.get("namespace", ""),
        name=resource.get("name", ""),
    )


def _user_info(user: User) -> dict[str, Any]:
    info: dict[str, Any] = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info
