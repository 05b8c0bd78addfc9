"""Reviews of identity: who am I, whose token is this. They are never stored, only answered (`access_reviews.py` too).

`kubectl auth whoami` asks these; so does anything else that authenticates on its own.

Source: Kubernetes API reference, authentication.k8s.io/v1.
"""

from __future__ import annotations

from typing import Any

from k8slite.clock import Clock, timestamp
from k8slite.errors import bad_request

from ..authn.base import Refused, User
from ..authn.tokens import Tokens
from ..strategies.base import Document

AUTHENTICATION = "authentication.k8s.io"


class Reviews:
    """Answers reviews; each method takes the body of a POST and returns it with its status."""

    def __init__(self, *, tokens: Tokens, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock

    async def review(self, plural: str, body: Document, *, user: User, namespace: str = "") -> Document:
        """Answer a review by the plural of its resource. Raises ApiError."""
        match plural:
            case "selfsubjectreviews":
                status = {"userInfo": _user_info(user)}
            case "tokenreviews":
                status = await self._token(body)
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

    async def _token(self, body: Document) -> dict[str, Any]:
        spec = body.get("spec") or {}
        if not (token := spec.get("token", "")):
            raise bad_request("token is required for TokenReview in authentication")
        try:
            known = await self._tokens.verify(token, tuple(spec.get("audiences") or ()))
        except Refused as refused:
            return {"user": {}, "error": str(refused)}
        return {"authenticated": True, "user": _user_info(known.user), "audiences": list(known.audiences)}


def _user_info(user: User) -> dict[str, Any]:
    info: dict[str, Any] = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info
