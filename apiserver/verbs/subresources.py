"""The table of handlers: what is served below objects, and without objects, by more than reading and writing.

Source: Kubernetes API reference: Binding, Eviction, TokenRequest, the reviews of authentication and authorization.
"""

from __future__ import annotations

from typing import Protocol

import orjson

from ..admission.base import Admission
from ..authn.base import User
from ..calls import Answer, Call, Handler, Subresources
from ..documents import Document
from ..registry import Registry
from ..wire.negotiation import json_body
from . import access_reviews
from .access_reviews import AccessReviews
from .pod_actions import handlers as pod_handlers
from .reviews import Reviews
from .tokens import TokenIssuer

_AUTHENTICATION = "authentication.k8s.io"
_REVIEWS = ((_AUTHENTICATION, "tokenreviews"), (_AUTHENTICATION, "selfsubjectreviews"))


class _Answers(Protocol):
    async def review(self, plural: str, body: Document, *, user: User, namespace: str = "") -> Document: ...


def table(registry: Registry, *, reviews: Reviews, access: AccessReviews, issuer: TokenIssuer) -> Subresources:
    """Every handler of the server, but those that lead to kubelets."""
    handlers: Subresources = {(*place, ""): _review(registry, reviews, place[1]) for place in _REVIEWS}
    for plural in access_reviews.PLURALS:
        handlers[access_reviews.GROUP, plural, ""] = _review(registry, access, plural)
    handlers["", "serviceaccounts", "token"] = _token(registry, issuer)
    handlers.update(pod_handlers(registry))
    return handlers


def _review(registry: Registry, reviews: _Answers, plural: str) -> Handler:
    async def handle(call: Call) -> Answer:
        body = read_body(registry, call, call.resource.group, call.resource.version, call.resource.kind)
        answer = await reviews.review(plural, body, user=call.user, namespace=call.info.namespace)
        return Answer(orjson.dumps(answer), 201)

    return handle


def _token(registry: Registry, issuer: TokenIssuer) -> Handler:
    async def handle(call: Call) -> Answer:
        body = read_body(registry, call, _AUTHENTICATION, "v1", "TokenRequest")
        info, context = call.info, registry.context(call)
        admission = Admission(
            operation="CREATE",
            resource=call.resource,
            subresource="token",
            namespace=info.namespace,
            name=info.name,
            object=body,
            old=None,
            context=context,
            options=call.options,
            kind=(_AUTHENTICATION, "v1", "TokenRequest"),
        )
        await registry.admission.mutate(admission)
        await registry.admission.validate(admission)
        return Answer(orjson.dumps(issuer.request(info.namespace, info.name, body, context=context)), 201)

    return handle


def read_body(registry: Registry, call: Call, group: str, version: str, kind: str) -> Document:
    """The body as an object of a kind that is never stored. Raises ApiError."""
    body = json_body(call.body, call.content_type)
    return registry.schemas.decode(body, group=group, version=version, kind=kind, strictness="Ignore").object
