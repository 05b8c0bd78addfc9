"""Calling a webhook: a review object is posted, the same kind of object with a response comes back.

What is common to all webhooks stands here: the timeout, the bound on the answer's size, and what an answer must be.
What the review says, and what its failure means, is its caller's.

Source: Kubernetes' apiserver, util/webhook; apimachinery, rest client (statuses that are no success).
"""

from __future__ import annotations

from typing import Any

import orjson

from k8slite.errors import ApiError

from .backends import BackendError, Backends, Target, read_bounded
from .strategies.base import Document

TIMEOUT = 30.0
"""Seconds, where a webhook has no timeout of its own."""
ANSWER_LIMIT = 128 << 20
"""Bytes; a converted list may be large."""
_HEADERS = (("Content-Type", "application/json"), ("Accept", "application/json, */*"))


class WebhookFailure(Exception):
    """A webhook gave no answer that can be used; the text says why, for the message of whoever asked.

    `code` is the status that it answered with, if that was no success, else 0.
    """

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Webhooks:
    """Posts reviews."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    async def post(
        self, target: Target, review: Document, *, timeout: float = TIMEOUT, limit: int = ANSWER_LIMIT
    ) -> Document:
        """A webhook's answer to a review, an object. Raises WebhookFailure."""
        seconds = f"{timeout:g}s"
        query = f"?timeout={seconds}"
        service = target.service
        path = f"/{service.path.lstrip('/')}{query}" if service is not None else query
        try:
            async with self._backends.request(
                target, "POST", path=path, headers=_HEADERS, body=orjson.dumps(review), timeout=timeout
            ) as response:
                body = await read_bounded(response, limit)
                if not 200 <= response.status < 300:
                    raise WebhookFailure(_refusal(response.status, body), code=response.status)
                return _document(body)
        except BackendError as error:
            raise WebhookFailure(f'Post "{target.address}{query}": {error}') from error
        except ApiError as error:  # the Service leads nowhere
            raise WebhookFailure(f'Post "{target.address}{query}": {error.message}') from error


def _document(body: bytes) -> Document:
    """An answer, whatever type it is said to be of: servers that name none for their JSON have libraries that do."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WebhookFailure(f"couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(document, dict):
        raise WebhookFailure("couldn't get version/kind; json parse error: the answer is no object")
    return document


def _refusal(status: int, body: bytes) -> str:
    """What a status that is no success means: the Status in the body, or words for the number."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict) and document.get("kind") == "Status" and document.get("message"):
        return str(document["message"])
    text = body[:1024].decode("utf-8", "replace").strip()
    match status:
        case 404:
            return "the server could not find the requested resource"
        case 401:
            return "the server has asked for the client to provide credentials"
        case 403:
            return text or "forbidden"
        case _ if 300 <= status < 400:
            return f"the server answered with a redirect ({status}), which is not followed"
        case _ if status >= 500:
            return f'an error on the server ("{text or "unknown"}") has prevented the request from succeeding'
        case _:
            return "the server rejected our request for an unknown reason"
